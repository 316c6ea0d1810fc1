//! QPACK with the dynamic table.
#![no_main]

use wt_fuzz_host::compression;

libfuzzer_sys::fuzz_target!(|data: &[u8]| compression::play(data));
