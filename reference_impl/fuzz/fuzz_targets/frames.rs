//! Frames and other elements of type, length and value.
#![no_main]

use wt_fuzz_host::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::frames(data));
