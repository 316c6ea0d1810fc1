//! Field sections, and the messages and lists in them.
#![no_main]

use wt_fuzz_host::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::fields(data));
