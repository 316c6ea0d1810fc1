//! Sequences of operations of a peer, a driver and an application on one endpoint, with the invariants that
//! hold after each. A sequence can be had from any bytes, for native fuzzing.
//!
//! As bytes: one byte of start conditions (bit 0 server, bits 1 and 2 how far the connection is, bit 3 small
//! limits), then operations: a tag and its operands. Streams are one byte (above 200: an ID beyond 2^61), counts two, codes
//! eight, bytes have a length of one byte. Operands that are cut off end the sequence.

use std::collections::BTreeSet;

use bytes::Bytes;
use wt_core::{
    AcceptOptions, Action, Config, ConnectRequest, Connection, Dir, Event, Input, Role, SessionEnd,
    SessionId, StreamId, varint,
};

use crate::reaction::{SESSION, established, fresh, ready};

/// How far the connection is when the sequence begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The peer has sent nothing, and may choose drafts and limits.
    Fresh,
    /// Both sides have sent SETTINGS.
    Ready,
    /// There is a session on stream 0.
    Established,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Bytes of a stream
    Data(u64, Vec<u8>, bool),
    /// RESET_STREAM with code and final size
    Reset(u64, u64, Option<u64>),
    /// STOP_SENDING
    Stopped(u64, u64),
    /// A datagram
    Datagram(Vec<u8>),
    /// `accept`
    Accept(u64),
    /// `reject`
    Reject(u64),
    /// `connect`
    Connect(u64),
    /// `close_session`
    Close(u64, u32),
    /// `drain_session`
    Drain(u64),
    /// `goaway`
    GoAway,
    /// `check_open` and `bind_stream` of a session and a stream
    Open(u64, u64),
    /// So many bytes of body are received, consumed and sent.
    Body(u64, u64),
    /// `send_closed`
    SendClosed(u64),
    /// `recv_closed`
    RecvClosed(u64),
    /// `stop_stream`
    StopStream(u64),
    /// `reset_stream`
    ResetStream(u64),
    /// The connection is lost.
    Lost,
}

/// Takes operands from bytes.
struct Operands<'a>(&'a [u8]);

impl Operands<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn stream(&mut self) -> Option<u64> {
        self.byte().map(|byte| if byte > 200 { varint::MAX - u64::from(255 - byte) } else { u64::from(byte) })
    }

    fn count(&mut self) -> Option<u64> {
        Some(u64::from(u16::from_be_bytes([self.byte()?, self.byte()?])))
    }

    fn code(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*bytes))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(self.byte()?);
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    fn op(&mut self) -> Option<Op> {
        Some(match self.byte()? % 24 {
            0..=6 => Op::Data(self.stream()?, self.bytes()?, false),
            7 => Op::Data(self.stream()?, self.bytes()?, true),
            8 => Op::Reset(self.stream()?, self.code()?, None),
            9 => Op::Reset(self.stream()?, self.code()?, Some(self.count()?)),
            10 => Op::Stopped(self.stream()?, self.code()?),
            11 => Op::Datagram(self.bytes()?),
            12 => Op::Accept(self.stream()?),
            13 => Op::Reject(self.stream()?),
            14 => Op::Connect(self.stream()?),
            15 => Op::Close(self.stream()?, self.count()? as u32),
            16 => Op::Drain(self.stream()?),
            17 => Op::GoAway,
            18 => Op::Open(self.stream()?, self.stream()?),
            19 => Op::Body(self.stream()?, self.count()?),
            20 => Op::SendClosed(self.stream()?),
            21 => Op::RecvClosed(self.stream()?),
            22 => Op::StopStream(self.stream()?),
            _ => Op::ResetStream(self.stream()?),
        })
    }
}

/// Plays the sequence that `bytes` stand for. Panics if an invariant does not hold. The result names the kinds of
/// actions and events that there were.
pub fn run(bytes: &[u8]) -> BTreeSet<String> {
    let Some((first, rest)) = bytes.split_first() else { return BTreeSet::new() };
    let role = if first & 1 == 1 { Role::Server } else { Role::Client };
    let start = match first >> 1 & 3 {
        0 => Start::Ready,
        2 => Start::Fresh,
        _ => Start::Established,
    };
    let config = if first & 8 == 8 { narrow() } else { Config::default() };
    let mut operands = Operands(rest);
    play(role, start, config, std::iter::from_fn(|| operands.op()))
}

/// Limits that short sequences reach.
fn narrow() -> Config {
    Config {
        max_sessions: 2,
        initial_max_data: 16,
        max_data_window: 64,
        initial_max_streams_bidi: 2,
        initial_max_streams_uni: 2,
        max_field_section_size: 512,
        max_settings_size: 64,
        max_early_capsule_bytes: 16,
        max_datagram_capsule: 16,
        max_buffered_streams: 2,
        max_buffered_datagrams: 2,
        max_remembered_sessions: 2,
        max_ignored_elements: 8,
        reports_final_sizes: true,
        ..Config::default()
    }
}

/// Plays a sequence on an endpoint. Panics if an invariant does not hold. The result is that of [`run`].
pub fn play(role: Role, start: Start, config: Config, ops: impl IntoIterator<Item = Op>) -> BTreeSet<String> {
    let mut conn = match start {
        Start::Fresh => fresh(role, config),
        Start::Ready => ready(role, config),
        Start::Established => established(role, config),
    };
    let mut watch = Watch::new(role, start);
    watch.check(&mut conn);
    for op in ops {
        if !watch.is_possible(&op) {
            continue;
        }
        watch.lost |= op == Op::Lost;
        apply(&mut conn, op);
        watch.check(&mut conn);
    }
    watch.seen
}

/// The name of a variant, and for the end of a connection its reason
fn kind(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    if text.starts_with("CloseConnection") {
        return text;
    }
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn apply(conn: &mut Connection, op: Op) {
    let session = |id| SessionId(StreamId(id));
    // Commands may fail: that they fail without harm is what is tested
    match op {
        Op::Data(id, data, fin) => {
            conn.handle(Input::StreamData { stream: StreamId(id), data: Bytes::from(data), fin });
        }
        Op::Reset(id, code, final_size) => {
            conn.handle(Input::StreamReset { stream: StreamId(id), code, final_size });
        }
        Op::Stopped(id, code) => {
            conn.handle(Input::StreamStopped { stream: StreamId(id), code });
        }
        Op::Datagram(payload) => {
            conn.handle(Input::Datagram(payload.into()));
        }
        Op::Accept(id) => {
            let _ = conn.accept(session(id), AcceptOptions::default());
        }
        Op::Reject(id) => {
            let _ = conn.reject(session(id), 404, &[]);
        }
        Op::Connect(id) => {
            let request = ConnectRequest { authority: "a".into(), path: "/".into(), ..Default::default() };
            let _ = conn.connect(StreamId(id), request);
        }
        Op::Close(id, code) => {
            let _ = conn.close_session(session(id), code, "reason");
        }
        Op::Drain(id) => {
            let _ = conn.drain_session(session(id));
        }
        Op::GoAway => conn.goaway(),
        Op::Open(id, stream) => {
            let _ = conn.check_open(session(id), StreamId(stream).dir());
            let _ = conn.bind_stream(session(id), StreamId(stream));
        }
        Op::Body(id, bytes) => {
            if conn.body_received(StreamId(id), bytes) {
                conn.body_consumed(StreamId(id), bytes);
            }
            let credit = conn.send_credit(StreamId(id));
            conn.body_sent(StreamId(id), bytes.min(credit));
            conn.blocked(StreamId(id));
        }
        Op::SendClosed(id) => conn.send_closed(StreamId(id)),
        Op::RecvClosed(id) => conn.recv_closed(StreamId(id)),
        Op::StopStream(id) => {
            let _ = conn.stop_stream(StreamId(id), 1);
        }
        Op::ResetStream(id) => {
            let _ = conn.reset_stream(StreamId(id), 1);
        }
        Op::Lost => {
            conn.handle(Input::ConnectionLost);
        }
    }
}

/// What has to hold between the outputs.
struct Watch {
    role: Role,
    /// Sessions that the application knows of
    sessions: BTreeSet<SessionId>,
    finished: BTreeSet<StreamId>,
    /// Streams of which no more bytes come: the peer has ended them, or they were stopped here
    silent: BTreeSet<StreamId>,
    /// Streams that the peer has ended
    ended: BTreeSet<StreamId>,
    closed: bool,
    lost: bool,
    seen: BTreeSet<String>,
}

impl Watch {
    fn new(role: Role, start: Start) -> Self {
        let sessions = if start == Start::Established { BTreeSet::from([SESSION]) } else { BTreeSet::new() };
        Self {
            role,
            sessions,
            finished: BTreeSet::new(),
            silent: BTreeSet::new(),
            ended: BTreeSet::new(),
            closed: false,
            lost: false,
            seen: BTreeSet::new(),
        }
    }

    /// Whether QUIC and a driver could do this: nothing follows the end of a stream (RFC 9000 §3.2), and one that
    /// was stopped is not read any more.
    fn is_possible(&mut self, op: &Op) -> bool {
        match op {
            Op::Data(id, _, fin) => {
                let id = StreamId(*id);
                let possible = !self.silent.contains(&id) && !self.ended.contains(&id);
                if possible && *fin {
                    self.ended.insert(id);
                }
                possible
            }
            Op::Reset(id, ..) => self.ended.insert(StreamId(*id)),
            _ => true,
        }
    }

    fn check(&mut self, conn: &mut Connection) {
        while let Some(action) = conn.poll_action() {
            assert!(!self.closed, "{action:?} after the end of the connection");
            self.seen.insert(kind(&action));
            match action {
                Action::CloseConnection { .. } => self.closed = true,
                Action::Write { stream, fin, .. } => {
                    assert!(!self.finished.contains(&stream), "a write on {stream} after its end");
                    if fin {
                        self.finished.insert(stream);
                    }
                }
                Action::ResetAt { reliable_size, .. } => assert!(reliable_size > 0),
                Action::Stop { stream, .. } => {
                    self.silent.insert(stream);
                }
                Action::Reset { .. } => {}
            }
        }
        while let Some(event) = conn.poll_event() {
            self.seen.insert(kind(&event));
            self.event(&event);
        }
        self.closed |= self.lost;
        assert!(!self.closed || self.sessions.is_empty(), "a session outlives its connection");
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::SessionRequest { session, .. } | Event::SessionEstablished { session, .. } => {
                assert!(self.sessions.insert(*session), "{session} appears twice");
            }
            Event::SessionClosed { session, end } => {
                // A client may cancel what was never established
                let cancelled = self.role == Role::Client && *end == SessionEnd::ClosedLocally;
                let was_known = self.sessions.remove(session);
                let alpn = matches!(end, SessionEnd::Violation { .. }) && self.role == Role::Client;
                assert!(was_known || cancelled || alpn, "{session} ends and was not known: {end:?}");
            }
            Event::IncomingStream { session, .. }
            | Event::StreamReset { session, .. }
            | Event::StreamStopped { session, .. }
            | Event::SessionDraining { session }
            | Event::Datagram { session, .. } => {
                let is_known = self.sessions.contains(session);
                // A client may use a session before the server has answered
                assert!(is_known || self.role == Role::Client, "{event:?} of a session that is over");
            }
            Event::StreamCredit { dir, .. } => assert!(matches!(dir, Dir::Bidi | Dir::Uni)),
            _ => {}
        }
    }
}
