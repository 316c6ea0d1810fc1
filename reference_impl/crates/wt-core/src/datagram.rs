//! The start of an HTTP datagram: its Quarter Stream ID (RFC 9297 §2.1).

use bytes::{Bytes, BytesMut};

use crate::{SessionId, StreamId, varint};

/// Largest Quarter Stream ID
const MAX_QUARTER: u64 = (1 << 60) - 1;

/// Why a datagram closes the connection with H3_DATAGRAM_ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// The session that the payload of a QUIC DATAGRAM frame names, and the length of that name.
pub fn decode(payload: &[u8]) -> Result<(SessionId, usize), Malformed> {
    let (quarter, length) =
        varint::decode(payload).ok_or(Malformed("a datagram without a Quarter Stream ID"))?;
    if quarter > MAX_QUARTER {
        return Err(Malformed("a Quarter Stream ID that no stream has"));
    }
    Ok((SessionId(StreamId(quarter * 4)), length))
}

/// What precedes the payload of each datagram of a session.
pub fn header(session: SessionId) -> Bytes {
    let mut out = BytesMut::with_capacity(8);
    varint::encode(session.quarter(), &mut out);
    out.freeze()
}
