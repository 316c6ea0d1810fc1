//! `wt-codec-host`: see the library for the protocol.
#![forbid(unsafe_code)]

use std::{
    io::{self, BufReader, BufWriter},
    process::ExitCode,
};

fn main() -> ExitCode {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    match wt_fuzz_host::batch::serve(&mut input, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wt-codec-host: {error}");
            ExitCode::FAILURE
        }
    }
}
