//! HTTP/3 frames: which may appear where (RFC 9114 §7.2), and those that are sent.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Role, code, varint};

/// DATA (RFC 9114 §7.2.1)
pub const DATA: u64 = 0x0;
/// HEADERS (RFC 9114 §7.2.2)
pub const HEADERS: u64 = 0x1;
/// CANCEL_PUSH (RFC 9114 §7.2.3)
pub const CANCEL_PUSH: u64 = 0x3;
/// SETTINGS (RFC 9114 §7.2.4)
pub const SETTINGS: u64 = 0x4;
/// PUSH_PROMISE (RFC 9114 §7.2.5)
pub const PUSH_PROMISE: u64 = 0x5;
/// GOAWAY (RFC 9114 §7.2.6)
pub const GOAWAY: u64 = 0x7;
/// MAX_PUSH_ID (RFC 9114 §7.2.7)
pub const MAX_PUSH_ID: u64 = 0xd;
/// The signal value of a WebTransport stream: a frame type without length (-16 §4.3)
pub const WT_STREAM: u64 = 0x41;
/// PRIORITY_UPDATE for a request stream (RFC 9218 §7.2)
pub const PRIORITY_UPDATE_REQUEST: u64 = 0xf0700;
/// PRIORITY_UPDATE for a push stream (RFC 9218 §7.2)
pub const PRIORITY_UPDATE_PUSH: u64 = 0xf0701;

/// Where a frame was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the control stream
    Control,
    /// On a request stream
    Request,
    /// On the stream of a CONNECT that was answered with 2xx (RFC 9114 §4.4)
    Tunnel,
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It means something here.
    Process,
    /// It is unknown and skipped (RFC 9114 §9).
    Skip,
    /// A connection error with this code.
    Error(u64),
}

const OK: Verdict = Verdict::Process;
const UNEXPECTED: Verdict = Verdict::Error(code::H3_FRAME_UNEXPECTED);
/// No push ID was ever allowed (RFC 9114 §7.2.5)
const BAD_ID: Verdict = Verdict::Error(code::H3_ID_ERROR);
/// -16 §4.3
const BAD_FRAME: Verdict = Verdict::Error(code::H3_FRAME_ERROR);

/// Type; on a control stream from a client, from a server; on a request stream from a client, from a server;
/// in a tunnel.
type Row = (u64, Verdict, Verdict, Verdict, Verdict, Verdict);

/// RFC 9114 §7, Table 1, with the limits of each section and the reserved types of HTTP/2 (§7.2.8).
const TABLE: [Row; 14] = [
    (DATA, UNEXPECTED, UNEXPECTED, OK, OK, OK),
    (HEADERS, UNEXPECTED, UNEXPECTED, OK, OK, UNEXPECTED),
    (0x2, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (CANCEL_PUSH, OK, OK, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (SETTINGS, OK, OK, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (PUSH_PROMISE, UNEXPECTED, UNEXPECTED, UNEXPECTED, BAD_ID, UNEXPECTED),
    (0x6, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (GOAWAY, OK, OK, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (0x8, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (0x9, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (MAX_PUSH_ID, OK, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (WT_STREAM, BAD_FRAME, BAD_FRAME, BAD_FRAME, BAD_FRAME, BAD_FRAME),
    (PRIORITY_UPDATE_REQUEST, OK, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
    (PRIORITY_UPDATE_PUSH, OK, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED),
];

/// The verdict on a frame of type `kind` from a peer that plays `sender`.
pub fn judge(kind: u64, place: Place, sender: Role) -> Verdict {
    let Some((_, control_client, control_server, request_client, request_server, tunnel)) =
        TABLE.into_iter().find(|row| row.0 == kind)
    else {
        return Verdict::Skip;
    };
    match (place, sender) {
        (Place::Control, Role::Client) => control_client,
        (Place::Control, Role::Server) => control_server,
        (Place::Request, Role::Client) => request_client,
        (Place::Request, Role::Server) => request_server,
        (Place::Tunnel, _) => tunnel,
    }
}

/// The N-th identifier of the form 0x1f * N + 0x21, which is reserved so that peers ignore what they do not
/// know (RFC 9114 §7.2.4.1, §7.2.8). `seed` chooses N.
pub fn reserved(seed: u64) -> u64 {
    0x1f * (seed % 0x0100_0000) + 0x21
}

/// Appends a frame.
pub fn encode(kind: u64, payload: &[u8], out: &mut BytesMut) {
    encode_header(kind, payload.len() as u64, out);
    out.put_slice(payload);
}

/// Appends type and length of a frame.
pub fn encode_header(kind: u64, length: u64, out: &mut BytesMut) {
    varint::encode(kind, out);
    varint::encode(length, out);
}

/// A frame whose payload is one integer.
pub fn encode_integer(kind: u64, value: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(10);
    encode_header(kind, varint::size(value) as u64, &mut out);
    varint::encode(value, &mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_reserved_types_are_skipped_everywhere() {
        for kind in [0x21, reserved(0), reserved(12_345), reserved(u64::MAX), 0x0f, 0x40, varint::MAX] {
            for place in [Place::Control, Place::Request, Place::Tunnel] {
                for sender in [Role::Client, Role::Server] {
                    assert_eq!(judge(kind, place, sender), Verdict::Skip, "{kind:#x}");
                }
            }
        }
    }

    /// RFC 9114 §7.2.1 to §7.2.8 and §4.4
    #[test]
    fn known_types_have_their_places() {
        use Place::*;
        use Role::*;
        assert_eq!(judge(DATA, Request, Client), OK);
        assert_eq!(judge(DATA, Tunnel, Server), OK);
        assert_eq!(judge(DATA, Control, Server), UNEXPECTED);
        assert_eq!(judge(HEADERS, Tunnel, Server), UNEXPECTED);
        assert_eq!(judge(MAX_PUSH_ID, Control, Server), UNEXPECTED);
        assert_eq!(judge(MAX_PUSH_ID, Control, Client), OK);
        assert_eq!(judge(PUSH_PROMISE, Request, Server), BAD_ID);
        assert_eq!(judge(PUSH_PROMISE, Request, Client), UNEXPECTED);
        for kind in [0x2, 0x6, 0x8, 0x9] {
            for place in [Control, Request, Tunnel] {
                assert_eq!(judge(kind, place, Client), UNEXPECTED);
            }
        }
    }
}
