//! Capsules: where the input is cut does not matter, and what is read can be written and read again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wt_core::capsule::{Capsule, CapsuleReader, Known, Malformed};

fn read(input: &[u8], step: usize, known: Known) -> Result<(Vec<Capsule>, bool), Malformed> {
    let mut reader = CapsuleReader::new(known);
    let mut out = Vec::new();
    for chunk in input.chunks(step) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(capsule) = reader.next(&mut chunk)? {
            if capsule == Capsule::Prohibited {
                // Ends the session: what follows is not read
                return Ok((out, false));
            }
            out.push(capsule);
        }
    }
    Ok((out, reader.at_boundary()))
}

fuzz_target!(|data: &[u8]| {
    let [flags, step, input @ ..] = data else { return };
    let known = Known {
        drain: flags & 1 != 0,
        flow_control: flags & 2 != 0,
        prohibits: flags & 4 != 0,
        max_datagram: u64::from(flags >> 3),
    };
    let whole = read(input, input.len().max(1), known);
    assert_eq!(whole, read(input, usize::from(*step).max(1), known));
    if let Ok((capsules, _)) = whole {
        let bytes: Vec<u8> = capsules.iter().flat_map(Capsule::encode).collect();
        assert_eq!(read(&bytes, usize::from(*step).max(1), known), Ok((capsules, true)));
    }
});
