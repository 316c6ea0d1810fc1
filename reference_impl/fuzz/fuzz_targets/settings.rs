//! The payload of SETTINGS.
#![no_main]

use wt_fuzz_host::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::settings(data));
