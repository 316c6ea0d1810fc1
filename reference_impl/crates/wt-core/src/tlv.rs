//! Elements of type, length and value: the layout that HTTP/3 frames (RFC 9114 §7.1) and capsules
//! (RFC 9297 §3.2) share. Read in pieces, so that nothing is kept of what is skipped.

use bytes::{Buf, Bytes};

use crate::varint;

/// What the reader came across.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// An element begins.
    Start {
        /// Its type
        kind: u64,
        /// Length of its value
        length: u64,
    },
    /// The next bytes of the value, never empty
    Value(Bytes),
    /// The value is complete.
    End,
    /// The type that has no length: what follows is not an element any more.
    Signal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Type,
    Length { kind: u64 },
    Value { left: u64 },
    Signalled,
}

/// Takes a byte stream apart.
#[derive(Debug)]
pub struct Reader {
    state: State,
    partial: varint::Partial,
    signal: Option<u64>,
}

impl Reader {
    /// A reader at the start of an element. `signal` is a type without length.
    pub fn new(signal: Option<u64>) -> Self {
        Self { state: State::Type, partial: varint::Partial::default(), signal }
    }

    /// The next piece; `None` when `input` is used up.
    pub fn next(&mut self, input: &mut Bytes) -> Option<Piece> {
        loop {
            match self.state {
                State::Type => {
                    let kind = self.partial.read(input)?;
                    if Some(kind) == self.signal {
                        self.state = State::Signalled;
                        return Some(Piece::Signal);
                    }
                    self.state = State::Length { kind };
                }
                State::Length { kind } => {
                    let length = self.partial.read(input)?;
                    self.state = State::Value { left: length };
                    return Some(Piece::Start { kind, length });
                }
                State::Value { left: 0 } => {
                    self.state = State::Type;
                    return Some(Piece::End);
                }
                State::Value { left } => {
                    if !input.has_remaining() {
                        return None;
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.remaining());
                    self.state = State::Value { left: left - take as u64 };
                    return Some(Piece::Value(input.split_to(take)));
                }
                State::Signalled => return None,
            }
        }
    }

    /// Whether the stream may end here without cutting an element off.
    pub fn at_boundary(&self) -> bool {
        self.state == State::Type && !self.partial.is_partial()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(reader: &mut Reader, bytes: &[u8], step: usize) -> Vec<Piece> {
        let mut out: Vec<Piece> = Vec::new();
        for chunk in bytes.chunks(step) {
            let mut input = Bytes::copy_from_slice(chunk);
            while let Some(piece) = reader.next(&mut input) {
                match (out.last_mut(), piece) {
                    (Some(Piece::Value(before)), Piece::Value(more)) => {
                        *before = [&before[..], &more[..]].concat().into();
                    }
                    (_, piece) => out.push(piece),
                }
            }
        }
        out
    }

    #[test]
    fn boundaries() {
        let mut reader = Reader::new(Some(0x41));
        assert!(reader.at_boundary());
        assert_eq!(pieces(&mut reader, &[0, 0], 1), [Piece::Start { kind: 0, length: 0 }, Piece::End]);
        assert!(reader.at_boundary());
        assert_eq!(pieces(&mut reader, &[0, 2, 7], 1).len(), 2);
        assert!(!reader.at_boundary());
        assert_eq!(pieces(&mut reader, &[7, 0x40], 1).len(), 2);
        assert!(!reader.at_boundary());
        assert_eq!(pieces(&mut reader, &[0x41, 0, 0], 1), [Piece::Signal]);
    }

    proptest! {
        #[test]
        fn the_cut_does_not_matter(bytes in proptest::collection::vec(0u8..16, 0..64), step in 1usize..8) {
            let whole = pieces(&mut Reader::new(None), &bytes, 64);
            prop_assert_eq!(whole, pieces(&mut Reader::new(None), &bytes, step));
        }
    }
}
