//! What goes into a [`Connection`](crate::Connection) and what comes out of it.
//!
//! From QUIC comes [`Input`]; to QUIC go [`Action`]s; the application gets [`Event`]s and uses the methods of
//! the connection, whose failures are the error types here.

use bytes::Bytes;

use crate::{Dir, Draft, SessionId, StreamId, settings::Limits};

/// Something that happened on the QUIC connection.
#[derive(Debug, Clone)]
pub enum Input {
    /// The handshake is far enough to send, and the peer's transport parameters are known. Has to be the first
    /// input. The streams are unidirectional ones that the driver opened and writes nothing to by itself.
    Established {
        /// What the peer's transport parameters say
        facts: TransportFacts,
        /// For the control stream
        control: StreamId,
        /// For QPACK, if the peer's limit allows that many; without them no dynamic table is used. Nothing is sent
        /// on them before they are needed.
        qpack: Option<QpackStreams>,
    },
    /// Bytes of a stream, in order, for every stream that the core reads (see [`Feed`]). `data` may be empty.
    StreamData {
        /// The stream
        stream: StreamId,
        /// The next bytes; the core keeps slices of them, so they should not be part of a huge buffer
        data: Bytes,
        /// Whether the stream ends after them
        fin: bool,
    },
    /// The peer's RESET_STREAM or RESET_STREAM_AT has taken effect: nothing more will be read. With
    /// [`Config::reports_final_sizes`](crate::Config::reports_final_sizes) this also tells how a stream ended
    /// that `stop_stream` named.
    StreamReset {
        /// The stream
        stream: StreamId,
        /// HTTP/3 error code of the frame
        code: u64,
        /// Final size of the stream in bytes, header included, if the QUIC engine knows it
        final_size: Option<u64>,
    },
    /// The peer's STOP_SENDING. Bytes of a CONNECT stream that are already there should be fed before, so that
    /// a close capsule in the same packet is not lost.
    StreamStopped {
        /// The stream
        stream: StreamId,
        /// HTTP/3 error code of the frame
        code: u64,
    },
    /// The payload of a QUIC DATAGRAM frame.
    Datagram(Bytes),
    /// The connection is gone, for whatever reason. No more actions come; sessions end.
    ConnectionLost,
}

/// Our two streams for QPACK instructions (RFC 9204 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QpackStreams {
    /// For the encoder
    pub encoder: StreamId,
    /// For the decoder
    pub decoder: StreamId,
}

/// Facts of the QUIC connection that the drafts refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportFacts {
    /// The peer's max_datagram_frame_size is above 0 (RFC 9221 §3)
    pub peer_datagrams: bool,
    /// The peer sent the reset_stream_at transport parameter
    pub peer_reset_stream_at: bool,
    /// The server accepted our 0-RTT data (client only)
    pub early_data_accepted: bool,
}

/// What the driver does with a stream after [`Input::StreamData`]. Streams that `bind_stream` named are the
/// driver's own from the start, in both directions, and are never fed; request streams of a client are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// The core reads this stream: give it what comes next.
    Core,
    /// The session of the stream is not known yet: stop reading until [`Event::IncomingStream`] or an
    /// [`Action::Stop`] names it. QUIC's flow control then bounds what the peer can send.
    Hold,
    /// The stream belongs to a session: [`Event::IncomingStream`] is queued, the driver reads on by itself.
    Application,
    /// Nothing of interest will come: drop what is read.
    Discard,
}

/// Something that the driver has to do on the QUIC connection, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Append to a stream (control, QPACK and CONNECT streams only), and finish it if `fin`.
    Write {
        /// The stream
        stream: StreamId,
        /// Bytes to append, all of them; the driver queues what QUIC does not take at once
        data: Bytes,
        /// Whether to finish the stream
        fin: bool,
    },
    /// Send RESET_STREAM.
    Reset {
        /// The stream
        stream: StreamId,
        /// HTTP/3 error code
        code: u64,
    },
    /// Send RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset §4).
    ResetAt {
        /// The stream
        stream: StreamId,
        /// HTTP/3 error code
        code: u64,
        /// Bytes from the start of the stream that are delivered nevertheless
        reliable_size: u64,
    },
    /// Send STOP_SENDING, unless all has been received; nothing more is read from the stream.
    Stop {
        /// The stream
        stream: StreamId,
        /// HTTP/3 error code
        code: u64,
    },
    /// Close the connection (application close). Nothing follows but [`Event`]s.
    CloseConnection {
        /// HTTP/3 error code
        code: u64,
        /// For people who debug
        reason: &'static str,
    },
}

/// Something that the application has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer's SETTINGS are in and allow sessions: a client may `connect` now.
    Ready {
        /// The draft both speak
        draft: Draft,
    },
    /// The peer's SETTINGS or transport parameters do not allow WebTransport (client only). The connection is
    /// not closed by this; -16 §3.1 permits closing it with WT_REQUIREMENTS_NOT_MET.
    Unsupported {
        /// What is missing
        reason: &'static str,
    },
    /// A client asks for a session; answer with `accept` or `reject` (server only).
    SessionRequest {
        /// The session that would be
        session: SessionId,
        /// The request
        request: Box<SessionRequest>,
    },
    /// The server accepted (client only).
    SessionEstablished {
        /// The session
        session: SessionId,
        /// The response
        response: Box<SessionResponse>,
    },
    /// The server refused (client only).
    SessionRejected {
        /// The session that was asked for
        session: SessionId,
        /// Why
        reason: Rejection,
    },
    /// The session is over; its streams are reset. No further event names it or its streams.
    SessionClosed {
        /// The session
        session: SessionId,
        /// How it ended
        end: SessionEnd,
    },
    /// The peer asks to finish this session (WT_DRAIN_SESSION, or GOAWAY for all sessions).
    SessionDraining {
        /// The session
        session: SessionId,
    },
    /// The peer sent GOAWAY: no new sessions on this connection (RFC 9114 §5.2).
    GoingAway,
    /// The peer opened a stream in a session.
    IncomingStream {
        /// The session
        session: SessionId,
        /// The stream
        stream: StreamId,
        /// First bytes of the body, already read with the header; accounted for as received
        body: Bytes,
        /// Whether the stream ended with them; `recv_closed` is then still the driver's duty
        fin: bool,
        /// Whether the stream was reset while it was held: the application's code, if there is one
        reset: Option<Option<u32>>,
    },
    /// The peer reset its sending side of a stream.
    StreamReset {
        /// The session
        session: SessionId,
        /// The stream
        stream: StreamId,
        /// The application's code; `None` where the wire code does not stand for one (-16 §4.4)
        code: Option<u32>,
    },
    /// The peer asked to stop sending; the core has already reset the sending side.
    StreamStopped {
        /// The session
        session: SessionId,
        /// The stream
        stream: StreamId,
        /// The application's code, as above
        code: Option<u32>,
    },
    /// A datagram.
    Datagram {
        /// The session
        session: SessionId,
        /// Its payload
        payload: Bytes,
    },
    /// After `check_open` said [`OpenError::Blocked`]: the peer raised the limit.
    StreamCredit {
        /// The session
        session: SessionId,
        /// Direction of the limit
        dir: Dir,
    },
    /// After `send_credit` was 0 and `blocked` was called: the peer raised the limit.
    DataCredit {
        /// The session
        session: SessionId,
    },
}

/// A field line: lower-case name and value. Values are bytes of RFC 9110 §5.5, not necessarily UTF-8.
pub type Field = (Bytes, Bytes);

/// A client's request for a session, validated (RFC 9114 §4.3.1, RFC 9220).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    /// The draft in use
    pub draft: Draft,
    /// `:authority`
    pub authority: String,
    /// `:path` with its query
    pub path: String,
    /// `Origin`, which the application has to verify (-16 §3.2)
    pub origin: Option<String>,
    /// Members of a valid WT-Available-Protocols, in the client's order
    pub protocols: Vec<String>,
    /// The other fields
    pub headers: Vec<Field>,
}

/// A server's 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionResponse {
    /// The draft in use
    pub draft: Draft,
    /// `:status`
    pub status: u16,
    /// A valid WT-Protocol that was offered
    pub protocol: Option<String>,
    /// The other fields
    pub headers: Vec<Field>,
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A final response other than 2xx; redirections are not followed (-16 §3.2).
    Status {
        /// `:status`
        status: u16,
        /// The fields of the response
        headers: Vec<Field>,
    },
    /// The request stream was reset with this HTTP/3 code.
    Reset(u64),
    /// The response was malformed (RFC 9114 §4.1.2).
    Malformed(&'static str),
    /// The server goes away and did not process the request (RFC 9114 §5.2).
    GoingAway,
    /// The connection is gone.
    ConnectionLost,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// The peer closed it, by capsule or by FIN (code 0 and no reason).
    Closed {
        /// Application Error Code
        code: u32,
        /// Application Error Message
        reason: String,
    },
    /// The application closed it here.
    ClosedLocally,
    /// The peer reset or stopped the CONNECT stream with this HTTP/3 code.
    Reset(u64),
    /// The peer broke a rule and the session was reset with this HTTP/3 code.
    Violation {
        /// The code
        code: u64,
        /// For people who debug
        reason: &'static str,
    },
    /// The connection is gone.
    ConnectionLost,
}

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectRequest {
    /// `:authority`
    pub authority: String,
    /// `:path` with its query, not empty
    pub path: String,
    /// `Origin`
    pub origin: Option<String>,
    /// WT-Available-Protocols, best first; printable ASCII (RFC 9651 §3.3.3)
    pub protocols: Vec<String>,
    /// Close the session with WT_ALPN_ERROR if the server chooses none of them (-16 §3.3)
    pub require_protocol: bool,
    /// Further fields; names in lower case
    pub headers: Vec<Field>,
}

/// What a server answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcceptOptions {
    /// WT-Protocol; has to be one of the request's
    pub protocol: Option<String>,
    /// Further fields; names in lower case
    pub headers: Vec<Field>,
}

/// Why `connect` failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectError {
    /// The peer's SETTINGS are not in yet: wait for [`Event::Ready`].
    NotReady,
    /// The server does not offer what a session needs.
    Unsupported(&'static str),
    /// The connection does not allow another session now: use a new one (-16 §5.1).
    TooManySessions,
    /// The server sent GOAWAY: use a new connection (-16 §4.7).
    GoingAway,
    /// The request cannot be sent like this.
    InvalidRequest(&'static str),
    /// The fields are larger than the server accepts (RFC 9114 §4.2.2).
    TooLarge,
    /// The connection is closed.
    Closed,
}

/// The limits of a session on which flow control is in force, as they are now (-16 §5.6.2, §5.6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// What the peer allows us
    pub peer: Limits,
    /// What we allow the peer
    pub ours: Limits,
}

/// Why a command for a session failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// There is no such session in a state that allows this.
    Unknown,
    /// The argument cannot be sent.
    Invalid(&'static str),
}

/// Why a stream cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// There is no such session in a state that allows this.
    Unknown,
    /// The peer's stream limit is reached; the peer was told, and [`Event::StreamCredit`] will follow.
    Blocked,
    /// The stream ID does not fit: not ours, or in use.
    BadStream,
}

/// Why a datagram cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramError {
    /// There is no such session in a state that allows this.
    Unknown,
    /// The peer does not take datagrams (RFC 9297 §2.1.1, RFC 9221 §3).
    Unsupported,
}

macro_rules! errors {
    ($($kind:ident { $($variant:pat => $text:expr,)* })*) => {$(
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $($variant => $text.fmt(f),)* }
            }
        }
        impl std::error::Error for $kind {}
    )*};
}

errors! {
    ConnectError {
        Self::NotReady => "the peer's SETTINGS have not arrived",
        Self::Unsupported(what) => what,
        Self::TooManySessions => "the connection allows no further session",
        Self::GoingAway => "the server is going away",
        Self::InvalidRequest(what) => what,
        Self::TooLarge => "the request is larger than the server accepts",
        Self::Closed => "the connection is closed",
    }
    SessionError {
        Self::Unknown => "no such session",
        Self::Invalid(what) => what,
    }
    OpenError {
        Self::Unknown => "no such session",
        Self::Blocked => "the stream limit of the session is reached",
        Self::BadStream => "not a stream that can be used for this",
    }
    DatagramError {
        Self::Unknown => "no such session",
        Self::Unsupported => "the peer does not accept datagrams",
    }
}
