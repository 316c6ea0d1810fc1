//! Any sequence of what a peer, a driver and an application can do.
#![no_main]

use wt_fuzz_host::scenario;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(scenario::run(data)));
