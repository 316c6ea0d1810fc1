//! Identifiers of streams and sessions.

use std::fmt;

/// Who opened a stream or which side an endpoint plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that opened the connection
    Client,
    /// The side that accepted it
    Server,
}

/// Direction of a stream (RFC 9000 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dir {
    /// Both sides send.
    Bidi,
    /// Only the opener sends.
    Uni,
}

/// A QUIC stream ID (RFC 9000 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

impl StreamId {
    /// Who opened the stream.
    pub const fn initiator(self) -> Role {
        if self.0 & 1 == 0 { Role::Client } else { Role::Server }
    }

    /// Its direction.
    pub const fn dir(self) -> Dir {
        if self.0 & 2 == 0 { Dir::Bidi } else { Dir::Uni }
    }

    /// Whether the stream can carry a request (RFC 9114 §6.1).
    pub const fn is_request(self) -> bool {
        self.0 & 3 == 0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The ID of a session: that of its CONNECT stream (-16 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub StreamId);

impl SessionId {
    /// The Quarter Stream ID of its datagrams (RFC 9297 §2.1).
    pub const fn quarter(self) -> u64 {
        self.0.0 / 4
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
