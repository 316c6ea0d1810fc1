//! SETTINGS: what is understood can be sent and is understood alike.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wt_core::{Draft, Role, settings::Settings, varint};

fuzz_target!(|data: &[u8]| {
    let Some((first, payload)) = data.split_first() else { return };
    let role = if first & 1 == 1 { Role::Server } else { Role::Client };
    let Ok(settings) = Settings::decode(payload, role, &Draft::ALL) else { return };
    let mut frame = BytesMut::new();
    settings.encode(Some(u64::from(*first)), &mut frame);
    let (length, start) = varint::decode(&frame[1..]).expect("a frame has a length");
    assert_eq!(frame.len() as u64, 1 + start as u64 + length);
    assert_eq!(Settings::decode(&frame[1 + start..], role, &Draft::ALL), Ok(settings));
});
