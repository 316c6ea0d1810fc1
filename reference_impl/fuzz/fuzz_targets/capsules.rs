//! Capsules, with and without those of some drafts.
#![no_main]

use wt_fuzz_host::invariants;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariants::capsules(data));
