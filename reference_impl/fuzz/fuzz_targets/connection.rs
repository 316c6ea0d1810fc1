//! The state machine: any sequence of what a peer, a driver and an application can do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wt_fuzz_host::scenario;

fuzz_target!(|data: &[u8]| scenario::run(data));
