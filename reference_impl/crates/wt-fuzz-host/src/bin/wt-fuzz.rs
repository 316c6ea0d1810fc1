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

use serde_json::Value;
use wt_fuzz_host::{
    mutate::Corpus,
    targets::{self, TARGETS, Target},
};

/// Inputs of one target before the next has its turn
const TURN: u32 = 2_000;

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
            name => options.targets.push(targets::named(name).ok_or_else(|| {
                let names: Vec<_> = TARGETS.iter().map(|x| x.name).collect();
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
    let run = || panic::catch_unwind(|| (target.run)(input));
    match (run(), run()) {
        (Ok(first), Ok(second)) if first == second => Ok(first),
        _ => {
            let hex: String = input.iter().map(|x| format!("{x:02x}")).collect();
            Err(format!("FINDING {}: wt-fuzz --input {hex} {}", target.name, target.name))
        }
    }
}

fn fuzz(options: &Options) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(options.seconds.unwrap_or(60));
    let mut corpora: Vec<_> = options
        .targets
        .iter()
        .map(|target| {
            (*target, Corpus::new(options.seed, target.seeds.iter().map(|x| x.to_vec()).collect()), 0u64)
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
        println!("{}: {tried} inputs, {} kinds of results, no finding", target.name, corpus.shapes());
    }
    Ok(())
}

fn main() -> ExitCode {
    let outcome = options().map_err(|text| (2, text)).and_then(|options| {
        match &options.input {
            Some(input) => options.targets.iter().try_for_each(|target| {
                attempt(target, input).map(|result| println!("{}: {result}", target.name))
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
