//! The state machine of one connection.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use crate::{
    AcceptOptions, Action, Config, ConnectError, ConnectRequest, DatagramError, Dir, Draft, Event, Feed,
    Input, OpenError, Role, SessionError, SessionId, StreamId,
};

/// HTTP/3 and WebTransport on one QUIC connection.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    role: Role,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

impl Connection {
    /// A connection whose handshake is not finished.
    pub fn new(config: Arc<Config>, role: Role) -> Self {
        Self { config, role, actions: VecDeque::new(), events: VecDeque::new() }
    }
    /// Takes what happened on the QUIC connection. The result concerns [`Input::StreamData`] only.
    pub fn handle(&mut self, input: Input) -> Feed {
        let _ = (input, &self.config, self.role);
        Feed::Discard
    }
    /// The next thing to do on the QUIC connection.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    /// The negotiated draft, once [`Event::Ready`] came.
    pub fn draft(&self) -> Option<Draft> {
        None
    }
    /// Client: sends the request for a session on `stream`, a fresh bidirectional stream of ours.
    /// `check_connect` says before whether that is possible at all.
    pub fn connect(&mut self, stream: StreamId, request: ConnectRequest) -> Result<SessionId, ConnectError> {
        let _ = (stream, request);
        Err(ConnectError::NotReady)
    }
    /// Client: whether a session could be requested now.
    pub fn check_connect(&self) -> Result<(), ConnectError> {
        Err(ConnectError::NotReady)
    }
    /// Server: answers 200. Streams and datagrams that were kept for the session follow as events.
    pub fn accept(&mut self, session: SessionId, options: AcceptOptions) -> Result<(), SessionError> {
        let _ = (session, options);
        Err(SessionError::Unknown)
    }
    /// Server: answers with a status outside 1xx and 2xx.
    pub fn reject(
        &mut self,
        session: SessionId,
        status: u16,
        headers: &[(Bytes, Bytes)],
    ) -> Result<(), SessionError> {
        let _ = (session, status, headers);
        Err(SessionError::Unknown)
    }
    /// Closes a session: WT_CLOSE_SESSION and FIN, or only FIN for `(0, "")`. The reason is cut at a character
    /// boundary to 1024 bytes. [`Event::SessionClosed`] follows with `ClosedLocally`.
    pub fn close_session(&mut self, session: SessionId, code: u32, reason: &str) -> Result<(), SessionError> {
        let _ = (session, code, reason);
        Err(SessionError::Unknown)
    }
    /// Sends WT_DRAIN_SESSION (once; drafts before -07 have none and nothing is sent).
    pub fn drain_session(&mut self, session: SessionId) -> Result<(), SessionError> {
        let _ = session;
        Err(SessionError::Unknown)
    }
    /// Sends GOAWAY: requests that arrive later are refused with H3_REQUEST_REJECTED.
    pub fn goaway(&mut self) {}
    /// Whether every CONNECT stream is closed by the peer, so that closing the connection loses no close
    /// capsule (-16 §6).
    pub fn is_quiescent(&self) -> bool {
        true
    }
    /// Whether the session may open another stream. With `Blocked` the peer is told (WT_STREAMS_BLOCKED).
    pub fn check_open(&mut self, session: SessionId, dir: Dir) -> Result<(), OpenError> {
        let _ = (session, dir);
        Err(OpenError::Unknown)
    }
    /// Makes `stream`, a fresh stream of ours, a stream of the session. The result is the header that the
    /// driver writes first.
    pub fn bind_stream(&mut self, session: SessionId, stream: StreamId) -> Result<Bytes, OpenError> {
        let _ = (session, stream);
        Err(OpenError::Unknown)
    }
    /// Body bytes that the session may send now (`u64::MAX` without flow control).
    pub fn send_credit(&self, stream: StreamId) -> u64 {
        let _ = stream;
        0
    }
    /// `bytes` of body were handed to QUIC; never more than `send_credit`.
    pub fn body_sent(&mut self, stream: StreamId, bytes: u64) {
        let _ = (stream, bytes);
    }
    /// The stream has bytes to send but no credit: tells the peer once per limit (WT_DATA_BLOCKED);
    /// [`Event::DataCredit`] follows when there is more.
    pub fn blocked(&mut self, stream: StreamId) {
        let _ = stream;
    }
    /// `bytes` of body were read from QUIC. `false`: the session is closed for a violation of its limit.
    #[must_use]
    pub fn body_received(&mut self, stream: StreamId, bytes: u64) -> bool {
        let _ = (stream, bytes);
        true
    }
    /// The application took `bytes` of body: credit for the peer (WT_MAX_DATA).
    pub fn body_consumed(&mut self, stream: StreamId, bytes: u64) {
        let _ = (stream, bytes);
    }
    /// The sending side is done: FIN handed to QUIC. (Resets by the core are known to it.)
    pub fn send_closed(&mut self, stream: StreamId) {
        let _ = stream;
    }
    /// The receiving side is done: FIN read. (Resets and stops are known to the core.)
    pub fn recv_closed(&mut self, stream: StreamId) {
        let _ = stream;
    }
    /// Resets the sending side with an application code (RESET_STREAM_AT with the header where negotiated).
    pub fn reset_stream(&mut self, stream: StreamId, code: u32) -> Result<(), SessionError> {
        let _ = (stream, code);
        Err(SessionError::Unknown)
    }
    /// Asks the peer to stop sending, with an application code.
    pub fn stop_stream(&mut self, stream: StreamId, code: u32) -> Result<(), SessionError> {
        let _ = (stream, code);
        Err(SessionError::Unknown)
    }
    /// What precedes the payload of each datagram of the session: its Quarter Stream ID.
    pub fn datagram_header(&self, session: SessionId) -> Result<Bytes, DatagramError> {
        let _ = session;
        Err(DatagramError::Unknown)
    }
    /// Context of the TLS exporter with label "EXPORTER-WebTransport" (-16 §4.8); label and context of the
    /// application have at most 255 bytes.
    pub fn exporter_context(
        &self,
        session: SessionId,
        label: &[u8],
        context: &[u8],
    ) -> Result<Vec<u8>, SessionError> {
        let _ = (session, label, context);
        Err(SessionError::Unknown)
    }
}
