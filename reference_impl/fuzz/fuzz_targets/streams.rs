//! The bytes of one stream of the peer, beside an established session.
#![no_main]

use wt_fuzz_host::codecs;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(codecs::run(9, data)));
