//! What holds for every input of a codec, whatever the peer has sent. The functions panic where it does not.

use bytes::{Bytes, BytesMut};
use wt_core::{
    Draft,
    capsule::{Capsule, CapsuleReader, Known, Malformed},
    fields::{RequestHead, ResponseHead},
    frame, protocols, qpack,
    settings::Settings,
    tlv::{Piece, Reader},
    varint,
};

use crate::codecs::{known, role, take};

/// Lengths at which an input is cut: each byte alone, and a length that depends on the input, so that all occur.
fn steps(input: &[u8]) -> [usize; 2] {
    [1, 2 + usize::from(input.first().copied().unwrap_or_default()) % 61]
}

/// Frames: where the input is cut does not matter, and nothing is lost.
pub fn frames(input: &[u8]) {
    let whole = pieces(input, input.len().max(1));
    for step in steps(input) {
        assert_eq!(whole, pieces(input, step), "cut into pieces of {step}");
    }
    let mut left = 0;
    for piece in &whole.0 {
        match piece {
            Piece::Start { length, .. } => left = *length,
            Piece::Value(bytes) => left -= bytes.len() as u64,
            Piece::End => assert_eq!(left, 0),
            Piece::Signal => {}
        }
    }
}

/// Pieces, with the parts of a value joined; whether the input ends between two frames.
fn pieces(input: &[u8], step: usize) -> (Vec<Piece>, bool) {
    let mut reader = Reader::new(Some(frame::WT_STREAM));
    let mut out: Vec<Piece> = Vec::new();
    for chunk in input.chunks(step) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(piece) = reader.next(&mut chunk) {
            match (out.last_mut(), piece) {
                (Some(Piece::Value(before)), Piece::Value(more)) => {
                    *before = [&before[..], &more[..]].concat().into();
                }
                (_, piece) => out.push(piece),
            }
        }
    }
    (out, reader.at_boundary())
}

/// Capsules (operation 4): where the input is cut does not matter, and what is read can be written and read again.
pub fn capsules(payload: &[u8]) {
    let Ok(([flags], input)) = take::<1>(payload) else { return };
    let known = Known { max_datagram: u64::from(flags >> 3), ..known(flags) };
    let whole = read_capsules(input, input.len().max(1), known);
    for step in steps(input) {
        assert_eq!(whole, read_capsules(input, step, known), "cut into pieces of {step}");
    }
    if let Ok((capsules, _)) = whole {
        let bytes: Vec<u8> = capsules.iter().flat_map(Capsule::encode).collect();
        assert_eq!(read_capsules(&bytes, 1, known), Ok((capsules, true)));
    }
}

fn read_capsules(input: &[u8], step: usize, known: Known) -> Result<(Vec<Capsule>, bool), Malformed> {
    let mut reader = CapsuleReader::new(known);
    let mut out = Vec::new();
    for chunk in input.chunks(step) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(capsule) = reader.next(&mut chunk)? {
            if capsule == Capsule::Prohibited {
                // Ends the session: what follows is not read
                return Ok((out, true));
            }
            out.push(capsule);
        }
    }
    Ok((out, reader.at_boundary()))
}

/// SETTINGS (operation 3): what is understood can be sent and is understood alike.
pub fn settings(payload: &[u8]) {
    let Ok(([receiver], payload)) = take::<1>(payload) else { return };
    let Ok(role) = role(receiver) else { return };
    let Ok(settings) = Settings::decode(payload, role, &Draft::ALL) else { return };
    for grease in [None, payload.first().copied().map(u64::from)] {
        let mut frame = BytesMut::new();
        settings.encode(grease, &mut frame);
        let (length, start) = varint::decode(&frame[1..]).expect("a frame has a length");
        assert_eq!(frame.len() as u64, 1 + start as u64 + length);
        assert_eq!(Settings::decode(&frame[1 + start..], role, &Draft::ALL).as_ref(), Ok(&settings));
    }
}

/// Field sections (operation 5): what is decoded keeps its bound and can be encoded again; messages are taken
/// apart without harm.
pub fn fields(payload: &[u8]) {
    let Ok((max, section)) = take::<8>(payload) else { return };
    let max = u64::from_be_bytes(max);
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
}
