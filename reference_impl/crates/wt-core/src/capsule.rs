//! Capsules of the CONNECT stream (RFC 9297 §3, -16 §5.6 and §6).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Dir,
    tlv::{Piece, Reader},
    varint,
};

/// DATAGRAM (RFC 9297 §3.5)
pub const DATAGRAM: u64 = 0x00;
/// WT_CLOSE_SESSION (-16 §6)
pub const CLOSE_SESSION: u64 = 0x2843;
/// WT_DRAIN_SESSION (-16 §4.7)
pub const DRAIN_SESSION: u64 = 0x78ae;
/// WT_MAX_DATA (-16 §5.6.4)
pub const MAX_DATA: u64 = 0x190b_4d3d;
/// WT_MAX_STREAM_DATA, prohibited here (-16 §5.4)
pub const MAX_STREAM_DATA: u64 = 0x190b_4d3e;
/// WT_MAX_STREAMS for bidirectional streams (-16 §5.6.2)
pub const MAX_STREAMS_BIDI: u64 = 0x190b_4d3f;
/// WT_MAX_STREAMS for unidirectional streams
pub const MAX_STREAMS_UNI: u64 = 0x190b_4d40;
/// WT_DATA_BLOCKED (-16 §5.6.5)
pub const DATA_BLOCKED: u64 = 0x190b_4d41;
/// WT_STREAM_DATA_BLOCKED, prohibited here (-16 §5.4)
pub const STREAM_DATA_BLOCKED: u64 = 0x190b_4d42;
/// WT_STREAMS_BLOCKED for bidirectional streams (-16 §5.6.3)
pub const STREAMS_BLOCKED_BIDI: u64 = 0x190b_4d43;
/// WT_STREAMS_BLOCKED for unidirectional streams
pub const STREAMS_BLOCKED_UNI: u64 = 0x190b_4d44;

/// Longest Application Error Message, in bytes (-16 §6)
pub const MAX_MESSAGE: usize = 1024;

/// A capsule that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capsule {
    /// WT_CLOSE_SESSION
    Close {
        /// Application Error Code
        code: u32,
        /// Application Error Message
        reason: String,
    },
    /// WT_DRAIN_SESSION
    Drain,
    /// WT_MAX_DATA
    MaxData(u64),
    /// WT_MAX_STREAMS
    MaxStreams(Dir, u64),
    /// WT_DATA_BLOCKED
    DataBlocked(u64),
    /// WT_STREAMS_BLOCKED
    StreamsBlocked(Dir, u64),
    /// WT_MAX_STREAM_DATA or WT_STREAM_DATA_BLOCKED: a session error, whatever is in it
    Prohibited,
    /// DATAGRAM
    Datagram(Bytes),
}

impl Capsule {
    /// The capsule as bytes. [`Capsule::Prohibited`] is never sent and has none.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let integer = |kind, value, out: &mut BytesMut| {
            varint::encode(kind, out);
            varint::encode(varint::size(value) as u64, out);
            varint::encode(value, out);
        };
        match self {
            Capsule::Close { code, reason } => {
                varint::encode(CLOSE_SESSION, &mut out);
                varint::encode(4 + reason.len() as u64, &mut out);
                out.put_u32(*code);
                out.put_slice(reason.as_bytes());
            }
            Capsule::Drain => {
                varint::encode(DRAIN_SESSION, &mut out);
                varint::encode(0, &mut out);
            }
            Capsule::MaxData(value) => integer(MAX_DATA, *value, &mut out),
            Capsule::MaxStreams(Dir::Bidi, value) => integer(MAX_STREAMS_BIDI, *value, &mut out),
            Capsule::MaxStreams(Dir::Uni, value) => integer(MAX_STREAMS_UNI, *value, &mut out),
            Capsule::DataBlocked(value) => integer(DATA_BLOCKED, *value, &mut out),
            Capsule::StreamsBlocked(Dir::Bidi, value) => integer(STREAMS_BLOCKED_BIDI, *value, &mut out),
            Capsule::StreamsBlocked(Dir::Uni, value) => integer(STREAMS_BLOCKED_UNI, *value, &mut out),
            Capsule::Datagram(payload) => {
                varint::encode(DATAGRAM, &mut out);
                varint::encode(payload.len() as u64, &mut out);
                out.put_slice(payload);
            }
            Capsule::Prohibited => {}
        }
        out.freeze()
    }
}

/// The longest start of `reason` that fits and ends at a character boundary (-16 §6).
pub fn truncate_message(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_MESSAGE);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

/// Which capsules mean something; the others are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// WT_DRAIN_SESSION exists
    pub drain: bool,
    /// Session flow control is on. Where it is off, its capsules are ignored (-16 §5.1).
    pub flow_control: bool,
    /// The draft has flow control and so the prohibition of stream limits (-16 §5.4)
    pub prohibits: bool,
    /// Largest DATAGRAM capsule that is taken
    pub max_datagram: u64,
}

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Skip,
    Prohibited,
    /// Kept up to the end; the bounds of its length
    Keep {
        min: u64,
        max: u64,
    },
}

impl Known {
    fn layout(self, kind: u64) -> Layout {
        let integer = Layout::Keep { min: 1, max: 8 };
        match kind {
            CLOSE_SESSION => Layout::Keep { min: 4, max: 4 + MAX_MESSAGE as u64 },
            DRAIN_SESSION if self.drain => Layout::Keep { min: 0, max: 0 },
            MAX_STREAM_DATA | STREAM_DATA_BLOCKED if self.prohibits => Layout::Prohibited,
            MAX_DATA | MAX_STREAMS_BIDI | MAX_STREAMS_UNI | DATA_BLOCKED | STREAMS_BLOCKED_BIDI
            | STREAMS_BLOCKED_UNI
                if self.flow_control =>
            {
                integer
            }
            DATAGRAM => Layout::Keep { min: 0, max: self.max_datagram },
            _ => Layout::Skip,
        }
    }
}

/// A capsule breaks its layout: the message is malformed (RFC 9297 §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Takes capsules from the payload of DATA frames, which need not match their boundaries (RFC 9297 §3.2).
#[derive(Debug)]
pub struct CapsuleReader {
    reader: Reader,
    known: Known,
    kind: u64,
    /// The value so far, if it is kept
    value: Option<BytesMut>,
    skipped: u32,
}

impl CapsuleReader {
    /// A reader at the start of a capsule.
    pub fn new(known: Known) -> Self {
        Self { reader: Reader::new(None), known, kind: 0, value: None, skipped: 0 }
    }

    /// The next capsule that means something; `None` when `input` is used up.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Capsule>, Malformed> {
        while let Some(piece) = self.reader.next(input) {
            match piece {
                Piece::Start { kind, length } => {
                    self.kind = kind;
                    self.value = match self.known.layout(kind) {
                        Layout::Prohibited => return Ok(Some(Capsule::Prohibited)),
                        Layout::Keep { min, max } if (min..=max).contains(&length) => Some(BytesMut::new()),
                        // Too large to be of use: dropped without keeping it (RFC 9297 §3.5)
                        Layout::Keep { .. } if kind == DATAGRAM => None,
                        Layout::Keep { .. } => return Err(Malformed("a capsule has the wrong length")),
                        Layout::Skip => None,
                    };
                    if self.value.is_none() {
                        self.skipped = self.skipped.saturating_add(1);
                    }
                }
                Piece::Value(bytes) => {
                    if let Some(value) = &mut self.value {
                        value.extend_from_slice(&bytes);
                    }
                }
                Piece::End => {
                    if let Some(value) = self.value.take() {
                        self.skipped = 0;
                        return decode(self.kind, value.freeze()).map(Some);
                    }
                }
                Piece::Signal => {}
            }
        }
        Ok(None)
    }

    /// Whether the stream may end here (RFC 9297 §3.3).
    pub fn at_boundary(&self) -> bool {
        self.reader.at_boundary()
    }

    /// Capsules skipped since the last that meant something.
    pub fn skipped(&self) -> u32 {
        self.skipped
    }
}

/// Reads a value whose length is within the bounds of its type.
fn decode(kind: u64, value: Bytes) -> Result<Capsule, Malformed> {
    let integer = || varint::decode_exact(&value).ok_or(Malformed("a capsule is not one integer"));
    Ok(match kind {
        CLOSE_SESSION => {
            let (code, reason) =
                value.split_first_chunk::<4>().ok_or(Malformed("a close capsule is too short"))?;
            let reason =
                std::str::from_utf8(reason).map_err(|_| Malformed("a close message is not UTF-8"))?;
            Capsule::Close { code: u32::from_be_bytes(*code), reason: reason.to_owned() }
        }
        DRAIN_SESSION => Capsule::Drain,
        MAX_DATA => Capsule::MaxData(integer()?),
        MAX_STREAMS_BIDI => Capsule::MaxStreams(Dir::Bidi, integer()?),
        MAX_STREAMS_UNI => Capsule::MaxStreams(Dir::Uni, integer()?),
        DATA_BLOCKED => Capsule::DataBlocked(integer()?),
        STREAMS_BLOCKED_BIDI => Capsule::StreamsBlocked(Dir::Bidi, integer()?),
        STREAMS_BLOCKED_UNI => Capsule::StreamsBlocked(Dir::Uni, integer()?),
        _ => Capsule::Datagram(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Known = Known { drain: true, flow_control: true, prohibits: true, max_datagram: 100 };

    fn read(bytes: &[u8], step: usize, known: Known) -> Result<(Vec<Capsule>, bool), Malformed> {
        let mut reader = CapsuleReader::new(known);
        let mut out = Vec::new();
        for chunk in bytes.chunks(step) {
            let mut input = Bytes::copy_from_slice(chunk);
            while let Some(capsule) = reader.next(&mut input)? {
                out.push(capsule);
            }
        }
        Ok((out, reader.at_boundary()))
    }

    fn capsule() -> impl Strategy<Value = Capsule> {
        let dir = prop::sample::select(vec![Dir::Bidi, Dir::Uni]);
        prop_oneof![
            (any::<u32>(), "\\PC{0,100}").prop_map(|(code, reason)| Capsule::Close { code, reason }),
            Just(Capsule::Drain),
            (0..=varint::MAX).prop_map(Capsule::MaxData),
            (0..=varint::MAX).prop_map(Capsule::DataBlocked),
            (dir.clone(), 0..=varint::MAX).prop_map(|(dir, value)| Capsule::MaxStreams(dir, value)),
            (dir, 0..=varint::MAX).prop_map(|(dir, value)| Capsule::StreamsBlocked(dir, value)),
            prop::collection::vec(any::<u8>(), 0..100).prop_map(|payload| Capsule::Datagram(payload.into())),
        ]
    }

    /// -16 §6 and §4.7, worked out by hand
    #[test]
    fn bytes_of_the_text() {
        let close = Capsule::Close { code: 0x0102_0304, reason: "bye".into() };
        assert_eq!(close.encode()[..], [0x68, 0x43, 7, 1, 2, 3, 4, b'b', b'y', b'e']);
        assert_eq!(Capsule::Drain.encode()[..], [0x80, 0, 0x78, 0xae, 0]);
        assert_eq!(Capsule::MaxData(5).encode()[..], [0x99, 0x0b, 0x4d, 0x3d, 1, 5]);
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(truncate_message(&"a".repeat(2000)).len(), 1024);
        let odd = format!("a{}", "\u{e9}".repeat(600));
        assert_eq!(truncate_message(&odd).len(), 1023);
        assert_eq!(truncate_message("short"), "short");
    }

    #[test]
    fn large_values_are_refused_by_their_length() {
        let head = [0x68, 0x43, 0xbf, 0xff, 0xff, 0xff];
        assert!(read(&head, 64, ALL).is_err());
        let mut datagram = vec![0, 0x40, 101];
        datagram.extend([0; 101]);
        assert_eq!(read(&datagram, 7, ALL), Ok((vec![], true)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read(capsules in prop::collection::vec(capsule(), 0..6), step in 1usize..50) {
            let bytes: Vec<u8> = capsules.iter().flat_map(|capsule| capsule.encode()).collect();
            prop_assert_eq!(read(&bytes, step, ALL), Ok((capsules, true)));
        }

        #[test]
        fn the_cut_does_not_matter(bytes: Vec<u8>, step in 1usize..9) {
            prop_assert_eq!(read(&bytes, step, ALL), read(&bytes, 1000, ALL));
        }
    }
}
