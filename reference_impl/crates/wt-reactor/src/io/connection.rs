//! One connection: the QUIC engine and the state machine side by side.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use wt_channel::ConnectionFlow;
use wt_core::{ConnectRequest, Input, QpackStreams, SessionId, TransportFacts};
use wt_quic::{
    ConnectionHandle, Dir, Endpoint, Event as QuicEvent, SendDatagramError, StreamEvent, StreamId,
};

use super::{
    commands::Opening,
    ending::H3_NO_ERROR,
    opens::Opens,
    sink::Sink,
    socket::Socket,
    stream::{Reader, Sender, Stream},
    traces::Trace,
};
use crate::{
    config::Config,
    message::{ConnectionEnd, ConnectionEndSource, Event, Handle},
};

/// Calls of the socket in one round, so that other connections get their turn
const TRANSMITS: usize = 16;

pub(super) struct Connection {
    pub(super) handle: Handle,
    pub(super) quic_handle: ConnectionHandle,
    pub(super) quic: wt_quic::Connection,
    pub(super) core: wt_core::Connection,
    pub(super) config: Arc<Config>,
    pub(super) flow: Arc<ConnectionFlow>,
    /// Index of the socket that packets came from last
    pub(super) socket: usize,
    /// In the reactor's list
    pub(super) is_ready: bool,
    /// Time of the timer's entry that is in force
    pub(super) timer: Option<Instant>,
    /// Counted as a handshake under way
    pub(super) admitted_from: Option<SocketAddr>,
    pub(super) begun: Instant,
    pub(super) close_deadline: Option<(Instant, u64, Bytes)>,
    established: bool,
    pub(super) handshake_complete: bool,
    /// The application was told of the connection
    pub(super) told_ready: bool,
    /// The application is being told of what came in 0-RTT
    pub(super) tells_early: bool,
    /// The application was told of the end
    pub(super) ended: bool,
    pub(super) streams: FxHashMap<Handle, Stream>,
    /// How many of them the endpoint's counter includes
    pub(super) counted_streams: usize,
    pub(super) by_id: FxHashMap<StreamId, Handle>,
    /// Streams of the peer wait until the application has room
    accepts_later: bool,
    /// Streams that may have something to read
    pub(super) readable: VecDeque<Handle>,
    /// Streams that the application has to read from first
    pub(super) paused: Vec<Handle>,
    /// Bytes that the application has not consumed
    pub(super) outstanding: usize,
    /// Why it ended: for its sessions, and in a sentence for whoever asks for one
    pub(super) end_reason: String,
    pub(super) end_cause: String,
    pub(super) sessions: FxHashMap<Handle, SessionId>,
    /// Those that the endpoint's counter includes
    pub(super) counted_sessions: FxHashSet<Handle>,
    pub(super) session_handles: FxHashMap<SessionId, Handle>,
    /// Sessions that wait for SETTINGS or for a stream
    pub(super) requests: VecDeque<(Handle, Box<ConnectRequest>)>,
    /// Streams that wait for the peer's limits
    pub(super) opening: VecDeque<(Handle, Opening)>,
    pub(super) datagrams: VecDeque<Bytes>,
    pub(super) opens: Opens,
    pub(super) trace: Option<Trace>,
}

impl Connection {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        handle: Handle,
        quic_handle: ConnectionHandle,
        quic: wt_quic::Connection,
        core: wt_core::Connection,
        config: Arc<Config>,
        flow: Arc<ConnectionFlow>,
        socket: usize,
        now: Instant,
    ) -> Self {
        Self {
            handle,
            quic_handle,
            quic,
            core,
            begun: now,
            config,
            flow,
            socket,
            is_ready: false,
            timer: None,
            admitted_from: None,
            close_deadline: None,
            established: false,
            handshake_complete: false,
            told_ready: false,
            tells_early: false,
            ended: false,
            streams: FxHashMap::default(),
            counted_streams: 0,
            by_id: FxHashMap::default(),
            accepts_later: false,
            readable: VecDeque::new(),
            paused: Vec::new(),
            outstanding: 0,
            end_reason: String::new(),
            end_cause: String::new(),
            sessions: FxHashMap::default(),
            counted_sessions: FxHashSet::default(),
            session_handles: FxHashMap::default(),
            requests: VecDeque::new(),
            opening: VecDeque::new(),
            datagrams: VecDeque::new(),
            opens: Opens::default(),
            trace: None,
        }
    }

    /// For the records of this round.
    pub(super) fn note_time(&mut self, now: Instant) {
        if let Some(trace) = &mut self.trace {
            trace.now = now;
        }
    }

    /// Acts on what has happened. `true`: there is more to do at once.
    pub(super) fn serve(&mut self, now: Instant, endpoint: &mut Endpoint, sink: &mut Sink) -> bool {
        self.note_time(now);
        if self.quic.poll_timeout().is_some_and(|x| x <= now) {
            self.quic.handle_timeout(now);
        }
        if self.accepts_later {
            self.accept_streams(sink);
        }
        loop {
            while let Some(event) = self.quic.poll_endpoint_events() {
                if let Some(event) = endpoint.handle_event(self.quic_handle, event) {
                    self.quic.handle_event(event);
                }
            }
            let mut any = false;
            while let Some(event) = self.quic.poll() {
                any = true;
                self.quic_event(event, sink);
            }
            self.read_streams(sink);
            if !any {
                break;
            }
        }
        self.allow_opens();
        self.check_deadlines(now, sink);
        if !self.ended && self.established {
            let size = self.quic.datagrams().max_size().unwrap_or(0);
            self.flow.max_datagram.store(size, Relaxed);
        }
        false
    }

    /// Hands packets to the socket. `true`: there may be more.
    pub(super) fn transmit(&mut self, now: Instant, sockets: &mut [Socket], packet: &mut Vec<u8>) -> bool {
        let Some(socket) = sockets.get_mut(self.socket) else { return false };
        let segments = socket.segments(self.quic.current_mtu());
        for _ in 0..TRANSMITS {
            if socket.is_blocked() {
                return true;
            }
            packet.clear();
            match self.quic.poll_transmit(now, segments, packet) {
                Some(transmit) => socket.send(transmit, packet),
                None => return false,
            }
        }
        true
    }

    fn quic_event(&mut self, event: QuicEvent, sink: &mut Sink) {
        match event {
            // A server can send as soon as it knows the client's transport parameters (RFC 9001 §5.7)
            QuicEvent::HandshakeDataReady if self.quic.side().is_server() => self.establish(sink),
            QuicEvent::HandshakeDataReady => {}
            QuicEvent::Connected => {
                self.handshake_complete = true;
                self.establish(sink);
                self.tells_early = true;
                self.pump(sink);
                self.tells_early = false;
            }
            QuicEvent::ConnectionLost { reason } => self.end(self.describe(reason), sink),
            QuicEvent::Stream(event) => self.stream_event(event, sink),
            QuicEvent::DatagramReceived => {
                while let Some(datagram) = self.quic.datagrams().recv() {
                    self.input(Input::Datagram(datagram));
                    self.pump(sink);
                }
            }
            QuicEvent::DatagramsUnblocked => self.send_datagrams(sink),
        }
    }

    /// Begins HTTP/3 once our control stream can be opened.
    fn establish(&mut self, sink: &mut Sink) {
        if self.established || self.ended {
            return;
        }
        let Some(control) = self.next_stream(Dir::Uni) else { return };
        self.established = true;
        self.insert(sink.handle(), Stream::new(control, Reader::Done, Sender::Open));
        let facts = TransportFacts {
            peer_datagrams: self.quic.peer_max_datagram_frame_size().is_some_and(|x| x.into_inner() > 0),
            peer_reset_stream_at: self.quic.peer_supports_reset_stream_at(),
            early_data_accepted: self.quic.side().is_client() && self.quic.accepted_0rtt(),
        };
        let control = wt_core::StreamId(control.into());
        let qpack = self.qpack_streams();
        self.input(Input::Established { facts, control, qpack });
        self.pump(sink);
    }

    /// Streams for QPACK, of which nothing is kept here before the core writes to one.
    fn qpack_streams(&mut self) -> Option<QpackStreams> {
        let encoder = self.next_stream(Dir::Uni)?;
        let Some(decoder) = self.next_stream(Dir::Uni) else {
            self.opens.give_back(encoder);
            return None;
        };
        let [encoder, decoder] = [encoder, decoder].map(|id| wt_core::StreamId(id.into()));
        Some(QpackStreams { encoder, decoder })
    }

    fn stream_event(&mut self, event: StreamEvent, sink: &mut Sink) {
        match event {
            StreamEvent::Opened { .. } => self.accept_streams(sink),
            StreamEvent::Readable { id } => {
                if let Some(&handle) = self.by_id.get(&id) {
                    self.mark_readable(handle);
                }
            }
            StreamEvent::Writable { id } => {
                if let Some(&handle) = self.by_id.get(&id) {
                    self.write_stream(handle, sink);
                    self.carry_reset_on(handle, sink);
                }
            }
            StreamEvent::Finished { id } => {
                if let Some(&handle) = self.by_id.get(&id) {
                    self.finished(handle, sink);
                }
            }
            StreamEvent::Stopped { id, error_code } => {
                // What came before it on the same stream counts first
                self.read_streams(sink);
                let (stream, code) = (wt_core::StreamId(id.into()), error_code.into_inner());
                self.input(Input::StreamStopped { stream, code });
                self.pump(sink);
                let handle = self.by_id.get(&id).copied();
                if let Some((handle, stream)) = handle.and_then(|x| Some((x, self.streams.get_mut(&x)?)))
                    && stream.sender == Sender::Finished
                {
                    // Nothing more will be acknowledged (RFC 9000 §3.5)
                    stream.sender = Sender::Done;
                    let _ = self.quic.send_stream(id).reset(error_code);
                    if stream.session != 0 {
                        // What was finished may not have been read (-16 §4.4)
                        let code = wt_core::code::to_application(code);
                        sink.event(Event::StreamStopped { stream: handle, code });
                    }
                    self.forget_if_done(handle);
                }
            }
            StreamEvent::FinalSize { id, size } => {
                if let Some(&handle) = self.by_id.get(&id) {
                    self.final_size(handle, size, sink);
                }
            }
            StreamEvent::Available { .. } => {
                self.establish(sink);
                self.open_waiting(sink);
            }
        }
    }

    /// Streams of the peer, while the application has room for them. The others are left to QUIC, which does not
    /// give credit for more as long as they are there.
    fn accept_streams(&mut self, sink: &mut Sink) {
        let limit = self.config.max_pending_streams();
        self.accepts_later = false;
        for dir in [Dir::Bi, Dir::Uni] {
            loop {
                if !self.flow.has_room(limit) {
                    self.accepts_later = true;
                    return;
                }
                let Some(id) = self.quic.streams().accept(dir) else { break };
                let sender = if dir == Dir::Bi { Sender::Open } else { Sender::Done };
                let handle = sink.handle();
                self.insert(handle, Stream::new(id, Reader::Core, sender));
                self.mark_readable(handle);
            }
        }
    }

    pub(super) fn insert(&mut self, handle: Handle, stream: Stream) {
        self.by_id.insert(stream.id, handle);
        self.streams.insert(handle, stream);
    }

    /// Hands queued datagrams to QUIC.
    pub(super) fn send_datagrams(&mut self, sink: &mut Sink) {
        while let Some(datagram) = self.datagrams.pop_front() {
            let bytes = datagram.len();
            match self.quic.datagrams().send(datagram, false) {
                Err(SendDatagramError::Blocked(datagram)) => {
                    self.datagrams.push_front(datagram);
                    return;
                }
                Ok(()) => {}
                // The path's limit shrank meanwhile, or the peer takes none
                Err(_) => sink.count_dropped_datagram(),
            }
            self.flow.datagrams_out.fetch_sub(bytes, Relaxed);
        }
    }

    /// Closes the connection; with H3_NO_ERROR only after the ends of its sessions have arrived (-16 §6), or a
    /// second.
    pub(super) fn close(&mut self, now: Instant, code: u64, reason: Bytes, sink: &mut Sink) {
        self.note_time(now);
        if code == H3_NO_ERROR && self.established && !self.core.is_quiescent() {
            self.close_sessions(sink);
            self.close_deadline.get_or_insert((now + std::time::Duration::from_secs(1), code, reason));
        } else {
            self.close_now(now, code, reason, sink);
        }
    }

    pub(super) fn close_now(&mut self, now: Instant, code: u64, reason: Bytes, sink: &mut Sink) {
        if !self.ended {
            self.quic.close(now, super::code(code), reason.clone());
            let reason = String::from_utf8_lossy(&reason).into_owned();
            self.end(ConnectionEnd { source: ConnectionEndSource::Local, code, reason }, sink);
        }
    }

    /// Whether closing now loses nothing.
    pub(super) fn is_quiescent(&self) -> bool {
        self.ended || !self.established || self.core.is_quiescent()
    }

    /// The connection is over: everything in it ends, and the application is told.
    pub(super) fn end(&mut self, end: ConnectionEnd, sink: &mut Sink) {
        if self.ended {
            return;
        }
        if self.is_early() {
            // The handshake will not be completed: what came in 0-RTT has not happened
            while self.core.poll_event().is_some() {}
        }
        self.ended = true;
        self.close_deadline = None;
        self.end_reason.clone_from(&end.reason);
        self.end_cause = end.to_string();
        self.input(Input::ConnectionLost);
        self.pump(sink);
        self.end_sessions(sink);
        self.streams.clear();
        self.by_id.clear();
        self.readable.clear();
        self.paused.clear();
        self.datagrams.clear();
        sink.event(Event::ConnectionClosed { connection: self.handle, end: Box::new(end) });
    }
}
