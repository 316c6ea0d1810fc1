//! `wt-fuzz [--seconds N] [--seed N] [TARGET...]`: tries inputs on the core as long as it is told to.
//!
//! The targets take their time in turns. An input that makes the core panic, or break an invariant of
//! `scenario`, is printed as hexadecimal, and the exit status is 1; `wt-fuzz --input HEX TARGET` plays it again.
#![forbid(unsafe_code)]

use std::{
    panic,
    process::ExitCode,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wt_fuzz_host::{codecs, mutate::Corpus, scenario};

/// Name, what is tried, and inputs to begin with
type Target = (&'static str, fn(&[u8]) -> Value, &'static [&'static [u8]]);

/// Inputs of one target before the next has its turn
const TURN: u32 = 2_000;

const TARGETS: &[Target] = &[
    // An established server: data on the CONNECT stream, a stream of the session, a datagram, an end
    (
        "machine",
        |x| json!(scenario::run(x)),
        &[
            b"\x03\x00\x00\x03\x00\x01x\x00\x04\x04\x40\x41\x00x\x0b\x02\x00d\x0f\x00\x00\x07",
            b"\x03\x00\x02\x0a\x04\x08\x99\x0b\x4d\x3d\x01\x00\x00\x00\x12\x00\x01\x13\x01\x00\x10",
            b"\x02\x0e\x00\x00\x00\x05\x01\x03\x00\x00\xd9\x12\x00\x04\x16\x04\x17\x04",
            b"\x01\x00\x02\x04\x00\x04\x00\x00\x0c\x00\x08\x00\x00\x00\x00\x00\x00\x01\x0c",
        ],
    ),
    ("capsules", |x| codecs::run(4, x), &[
        b"\x07\x68\x43\x05\x00\x00\x00\x01x\x80\x00\x78\xae\x00",
        b"\x07\x99\x0b\x4d\x3d\x04\x90\x00\x00\x00\x99\x0b\x4d\x3f\x02\x44\x00",
        b"\x02\x99\x0b\x4d\x42\x01\x05\x17\x03\x01\x02\x03",
    ]),
    ("frames", |x| codecs::run(2, x), &[b"\x00\x01x\x01\x03\x00\x00\xd9\x07\x01\x00", b"\x40\x41\x00x", b"\x21\x02ab\x04\x00"]),
    ("settings", |x| codecs::run(3, x), &[
        b"\x01\x08\x01\x33\x01\xac\x7c\xf0\x00\x01\x06\x44\x00",
        b"\x00\x08\x01\x33\x01\xc0\x00\x00\x00\xc6\x71\x70\x6a\x01\x2b\x64\x01\x10",
        b"\x01\x2b\x60\x37\x42\x01\x02\x00",
    ]),
    ("fields", |x| codecs::run(5, x), &[
        b"\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\xcf\xd7\x50\x01a\xc1\x27\x02:protocol\x0fwebtransport-h3",
        b"\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x5f\x1d\x83\x10\x84\xff",
    ]),
    ("requests", |x| codecs::run(6, x), &[b"\x00\x00\xcf\xd7\x50\x01a\xc1\x27\x02:protocol\x0fwebtransport-h3"]),
    ("responses", |x| codecs::run(7, x), &[b"\x00\x00\xd9\x27\x04wt-protocol\x03\"a\"", b"\x00\x00\xdb"]),
    ("streams", |x| codecs::run(9, x), &[
        b"\x01\x00\x00\x00\x00\x00\x00\x00\x04\x00\x40\x41\x00x",
        b"\x01\x00\x00\x00\x00\x00\x00\x00\x02\x01\x00\x04\x04\x08\x01\x33\x01",
        b"\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x40\x54\x00x",
    ]),
    ("protocols", |x| codecs::run(12, x), &[b"\"a\", \"b\";q=1\x00\"c\"", b"(\"a\" b);x, ?1\t"]),
    ("protocol", |x| codecs::run(13, x), &[b"\"a\";v=1"]),
];

#[derive(Default)]
struct Options {
    seconds: Option<u64>,
    seed: u64,
    input: Option<Vec<u8>>,
    targets: Vec<&'static Target>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { seed: 1, ..Options::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|e| format!("{text:?}: {e}"));
        match argument.as_str() {
            "--seconds" => options.seconds = Some(number(value()?)?),
            "--seed" => options.seed = number(value()?)?,
            "--input" => options.input = Some(from_hex(&value()?).ok_or("the input is no hexadecimal")?),
            name => options.targets.push(TARGETS.iter().find(|x| x.0 == name).ok_or_else(|| {
                let names: Vec<_> = TARGETS.iter().map(|x| x.0).collect();
                format!("there is no target {name:?}; there are {}", names.join(", "))
            })?),
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.iter().collect();
    }
    Ok(options)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|x| str::from_utf8(x).ok());
    digits.map(|x| x.filter(|x| x.len() == 2).and_then(|x| u8::from_str_radix(x, 16).ok())).collect()
}

/// The result twice, to see that it depends on nothing else; the input if something is wrong.
fn attempt(target: &Target, input: &[u8]) -> Result<Value, String> {
    let run = || panic::catch_unwind(|| (target.1)(input));
    match (run(), run()) {
        (Ok(first), Ok(second)) if first == second => Ok(first),
        _ => {
            let hex: String = input.iter().map(|x| format!("{x:02x}")).collect();
            Err(format!("FINDING {}: wt-fuzz --input {hex} {}", target.0, target.0))
        }
    }
}

fn fuzz(options: &Options) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(options.seconds.unwrap_or(60));
    let mut corpora: Vec<_> = options
        .targets
        .iter()
        .map(|target| {
            (*target, Corpus::new(options.seed, target.2.iter().map(|x| x.to_vec()).collect()), 0u64)
        })
        .collect();
    while Instant::now() < end {
        for (target, corpus, tried) in &mut corpora {
            for _ in 0..TURN {
                let input = corpus.next_input();
                let result = attempt(target, &input)?;
                corpus.learn(input, &result);
                *tried += 1;
            }
        }
    }
    for (target, corpus, tried) in &corpora {
        println!("{}: {tried} inputs, {} kinds of results, no finding", target.0, corpus.shapes());
    }
    Ok(())
}

fn main() -> ExitCode {
    let outcome = options().map_err(|text| (2, text)).and_then(|options| {
        match &options.input {
            Some(input) => options.targets.iter().try_for_each(|target| {
                attempt(target, input).map(|result| println!("{}: {result}", target.0))
            }),
            None => fuzz(&options),
        }
        .map_err(|text| (1, text))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, text)) => {
            eprintln!("{text}");
            ExitCode::from(code)
        }
    }
}
