//! Frames and other elements of type, length and value: where the input is cut does not matter, and nothing is
//! lost.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wt_core::{
    frame,
    tlv::{Piece, Reader},
};

/// Pieces, with the parts of a value joined.
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

fuzz_target!(|data: &[u8]| {
    let Some((step, input)) = data.split_first() else { return };
    let whole = pieces(input, input.len().max(1));
    assert_eq!(whole, pieces(input, usize::from(*step).max(1)));
    let mut left = 0;
    for piece in &whole.0 {
        match piece {
            Piece::Start { length, .. } => left = *length,
            Piece::Value(bytes) => left -= bytes.len() as u64,
            Piece::End => assert_eq!(left, 0),
            Piece::Signal => {}
        }
    }
});
