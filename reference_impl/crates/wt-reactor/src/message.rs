//! What the application and the I/O thread tell each other.

use std::{
    fmt::{self, Display},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use wt_core::{
    AcceptOptions, ConnectRequest, Dir, Draft, Field, SessionLimits, SessionRequest,
    settings::Limits as FlowLimits,
};

use wt_channel::{ConnectionFlow, SendFlow, SessionFlow};

/// Names a connection, session or stream. Unique for the life of an endpoint, never 0.
pub type Handle = u64;

/// Bytes before the payload of a datagram that are left free for its header: a quarter stream ID
/// (RFC 9297 §2.1) has at most 8 bytes.
pub const DATAGRAM_HEADROOM: usize = 8;

/// From the application to the I/O thread. Handles that are gone there are ignored: an event says so.
#[derive(Debug)]
pub(crate) enum Command {
    Connect {
        connection: Handle,
        address: SocketAddr,
        server_name: String,
        flow: Arc<ConnectionFlow>,
    },
    CloseConnection {
        connection: Handle,
        code: u64,
        reason: String,
    },
    GoAway {
        connection: Handle,
    },
    StopAccepting,
    /// For tests of what a fault of ours leads to
    #[cfg(any(test, feature = "panic-hook"))]
    Panic,
    Shutdown {
        code: u64,
        reason: String,
        timeout: Duration,
    },
    Connection {
        connection: Handle,
        command: ConnectionCommand,
    },
}

/// A command that concerns one connection.
#[derive(Debug)]
pub(crate) enum ConnectionCommand {
    Request {
        session: Handle,
        request: Box<ConnectRequest>,
        opens: Arc<SessionFlow>,
    },
    Accept {
        session: Handle,
        options: Box<AcceptOptions>,
    },
    Reject {
        session: Handle,
        status: u16,
        headers: Vec<Field>,
    },
    CloseSession {
        session: Handle,
        code: u32,
        reason: String,
    },
    DrainSession {
        session: Handle,
    },
    AnswerStops {
        session: Handle,
        code: Option<u32>,
    },
    /// `data` begins with [`DATAGRAM_HEADROOM`] free bytes
    Datagram {
        session: Handle,
        data: BytesMut,
    },
    Open {
        session: Handle,
        stream: Handle,
        dir: Dir,
        flow: Arc<SendFlow>,
        /// It was promised a place: no event says that it has one
        quiet: bool,
    },
    Write {
        stream: Handle,
        data: Bytes,
        fin: bool,
    },
    Reset {
        stream: Handle,
        code: u32,
    },
    Stop {
        stream: Handle,
        code: u32,
    },
    Consumed {
        stream: Handle,
        bytes: usize,
    },
    Export {
        session: Handle,
        token: Handle,
        label: Vec<u8>,
        context: Vec<u8>,
        length: usize,
    },
    Stats {
        token: Handle,
    },
    Limits {
        session: Handle,
        token: Handle,
    },
}

/// From the I/O thread to the application.
#[derive(Debug)]
pub(crate) enum Message {
    Event(Event),
    /// The next bytes of a stream, and whether it ends after them
    Data {
        stream: Handle,
        chunks: Vec<Bytes>,
        end: Option<End>,
    },
    Datagram {
        session: Handle,
        payload: Bytes,
    },
    IncomingSession {
        connection: Handle,
        flow: Arc<ConnectionFlow>,
        session: Handle,
        request: Box<SessionRequest>,
        id: u64,
        early_data: bool,
        opens: Arc<SessionFlow>,
    },
    IncomingStream {
        connection: Handle,
        session: Handle,
        stream: Handle,
        id: u64,
        flow: Option<Arc<SendFlow>>,
    },
}

/// How the receiving direction of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// FIN
    Fin,
    /// Reset by the peer, or by the end of the session; the application's code if there is one
    Reset(Option<u32>),
}

/// What the application is told.
#[derive(Debug)]
pub enum Event {
    /// The handshake is complete and the peer's SETTINGS have arrived.
    ConnectionReady { connection: Handle, info: Box<ConnectionInfo> },
    /// Last event of a connection; its sessions and streams ended before.
    ConnectionClosed { connection: Handle, end: Box<ConnectionEnd> },
    /// Server: to be answered with accept or reject.
    SessionRequest {
        connection: Handle,
        session: Handle,
        request: Box<SessionRequest>,
        id: u64,
        early_data: bool,
    },
    /// The session is established.
    SessionReady { session: Handle, info: Box<SessionInfo> },
    /// Client, last event of the session: refused by the server (`status` > 0), or impossible.
    SessionRejected { session: Handle, status: u16, headers: Vec<Field>, reason: String },
    /// The peer asks to finish.
    SessionDraining { session: Handle },
    /// Last event of the session; its streams ended before.
    SessionClosed { session: Handle, code: u64, reason: String, source: SessionEndSource },
    /// A stream of ours has its place within the peer's limits.
    StreamOpened { stream: Handle, id: u64 },
    /// A stream of ours can't be had.
    StreamFailed { stream: Handle, reason: &'static str },
    /// The peer opened a stream.
    StreamIncoming { session: Handle, stream: Handle, id: u64 },
    /// Reading has a result.
    Readable { stream: Handle },
    /// Writing is possible again.
    Writable { stream: Handle },
    /// The peer takes no more; the application's code if there is one.
    StreamStopped { stream: Handle, code: Option<u32> },
    /// Everything up to FIN was acknowledged, as asked for.
    StreamFinished { stream: Handle },
    /// In order of arrival.
    Datagrams { session: Handle, payloads: Vec<Bytes> },
    /// To a query.
    Answer { token: Handle, answer: Answer },
    /// Last of all; with the message of an internal failure.
    EndpointClosed { error: Option<String> },
}

/// Result of a query.
#[derive(Debug)]
pub enum Answer {
    /// Of the TLS exporter
    KeyingMaterial(Vec<u8>),
    /// Of a connection
    Stats(Box<wt_quic::ConnectionStats>, Box<Negotiated>),
    /// Of a session; `None`: no flow control is in force
    Limits(Option<SessionLimits>),
    /// What was asked about is gone, or the query failed
    Nothing,
}

/// What both sides of a connection said in SETTINGS (RFC 9114 §7.2.4) and in transport parameters
/// (RFC 9000 §18.2), by name; of the peer only what is known here, with the defaults.
#[derive(Debug, Clone, Default)]
pub struct Negotiated {
    pub settings: Vec<(&'static str, u64)>,
    /// `None`: they have not arrived
    pub peer_settings: Option<Vec<(&'static str, u64)>>,
    pub parameters: Vec<(&'static str, u64)>,
    pub peer_parameters: Vec<(&'static str, u64)>,
}

/// Facts of an established connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    pub remote: SocketAddr,
    /// Where the system says
    pub local: Option<IpAddr>,
    pub server_name: Option<String>,
    pub alpn: String,
    pub cipher_suite: Option<&'static str>,
    /// DER, leaf first
    pub peer_certificates: Vec<Vec<u8>>,
    /// The draft both speak
    pub draft: Option<Draft>,
    /// Why there can't be sessions
    pub unsupported: Option<&'static str>,
    /// max_datagram_frame_size of the peer
    pub peer_max_datagram_frame_size: Option<u64>,
    /// The peer accepts RESET_STREAM_AT
    pub peer_reset_stream_at: bool,
    /// Drafts in which session flow control is in force
    pub flow_control_drafts: Vec<Draft>,
    /// What the peer's SETTINGS allow a session
    pub peer_limits: FlowLimits,
}

/// Facts of an established session.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    pub status: u16,
    pub headers: Vec<Field>,
    pub protocol: Option<String>,
    pub draft: Draft,
    /// QUIC stream ID of the CONNECT stream
    pub id: u64,
}

/// Who or what ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEndSource {
    /// Closed here by the application
    Local,
    /// Closed here: the peer broke a rule
    Error,
    /// The peer's application, code of HTTP/3
    Application,
    /// The peer's QUIC stack
    Transport,
    /// TLS alert in either direction
    Tls,
    /// No answer, or idle
    Timeout,
    /// Stateless reset
    Reset,
    /// No common version
    Version,
    /// The server accepts no more connections
    Refused,
}

/// How a connection ended.
#[derive(Debug, Clone)]
pub struct ConnectionEnd {
    pub source: ConnectionEndSource,
    pub code: u64,
    pub reason: String,
}

impl Display for ConnectionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ConnectionEndSource as Source;
        let code = self.code;
        match self.source {
            Source::Local => f.write_str("the connection was closed here")?,
            Source::Error => write!(f, "the connection was closed here with {code:#x}")?,
            Source::Application => write!(f, "the peer closed the connection with {code:#x}")?,
            Source::Transport => write!(f, "the peer closed the connection with QUIC error {code:#x}")?,
            Source::Refused => f.write_str("the peer refused the connection")?,
            Source::Tls | Source::Timeout | Source::Reset | Source::Version => {
                return f.write_str(&self.reason);
            }
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// Who or what ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEndSource {
    /// WT_CLOSE_SESSION or FIN by the peer
    Peer,
    /// The application here
    Local,
    /// The CONNECT stream was reset or stopped; code of HTTP/3
    Reset,
    /// The peer broke a rule; code of HTTP/3
    Error,
    /// The connection ended
    Connection,
}
