//! Field sections: what is decoded keeps its bound and can be encoded again; messages are taken apart without
//! harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wt_core::{
    fields::{RequestHead, ResponseHead},
    protocols, qpack,
};

fuzz_target!(|data: &[u8]| {
    let Some((max, section)) = data.split_first() else { return };
    let max = u64::from(*max) * 16;
    let Ok(fields) = qpack::decode(section, max) else { return };
    assert!(qpack::section_size(&fields) <= max);
    assert_eq!(qpack::decode(&qpack::encode(&fields), max).as_ref(), Ok(&fields));
    let names = protocols::available(&fields);
    if let Some(encoded) = protocols::encode_available(&names) {
        let again = [(protocols::AVAILABLE.into(), encoded)];
        assert_eq!(protocols::available(&again), names);
    }
    let _ = protocols::chosen(&fields);
    let _ = RequestHead::parse(fields.clone());
    let _ = ResponseHead::parse(fields);
});
