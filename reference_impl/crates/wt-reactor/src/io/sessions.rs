//! What the state machine wants from QUIC and says to the application.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use bytes::Bytes;
use wt_channel::{SendFlow, SessionFlow};
use wt_core::{Action, Feed, Input, Rejection, SessionEnd, SessionId};

use super::{
    commands::reject,
    connection::Connection,
    sink::Sink,
    stream::{Reader, Sender, Stream},
    trace_records,
};
use crate::message::{
    ConnectionEnd, ConnectionEndSource, ConnectionInfo, End, Event, Handle, Message, SessionEndSource,
    SessionInfo,
};

impl Connection {
    /// To the state machine; [`Connection::pump`] brings what follows.
    pub(super) fn input(&mut self, input: Input) -> Feed {
        if let Some(trace) = &self.trace {
            trace.record(trace_records::input(&input));
        }
        self.core.handle(input)
    }

    /// Carries out what the core wants, and passes on what it says.
    pub(super) fn pump(&mut self, sink: &mut Sink) {
        self.pump_at(None, sink);
    }

    pub(super) fn pump_at(&mut self, now: Option<Instant>, sink: &mut Sink) {
        loop {
            if let Some(action) = self.core.poll_action() {
                if let Some(trace) = &self.trace {
                    trace.record(trace_records::action(&action));
                }
                self.action(now, action, sink);
            } else if self.is_early() {
                // What came in 0-RTT may be a replay: it waits for the handshake (RFC 8470 §3)
                return;
            } else if let Some(event) = self.core.poll_event() {
                if let Some(trace) = &self.trace {
                    trace.record(trace_records::event(&event, self.core.settings()));
                }
                self.core_event(event, sink);
            } else {
                return;
            }
        }
    }

    /// Whether what arrives may have been sent by someone else than this client.
    pub(super) fn is_early(&self) -> bool {
        self.quic.side().is_server() && !self.handshake_complete && !self.ended
    }

    fn action(&mut self, now: Option<Instant>, action: Action, sink: &mut Sink) {
        let find = |stream: wt_core::StreamId| {
            let id = wt_quic::VarInt::from_u64(stream.0).ok()?;
            self.by_id.get(&wt_quic::StreamId::from(id)).copied()
        };
        match action {
            Action::Write { stream, data, fin } => {
                let known = find(stream);
                if let Some(handle) = known.or_else(|| self.critical_stream(stream, sink)) {
                    if let Some(stream) = self.streams.get_mut(&handle) {
                        stream.push(data, fin);
                    }
                    self.write_stream(handle, sink);
                }
            }
            Action::Reset { stream, code } => {
                if let Some(handle) = find(stream) {
                    self.reset_stream(handle, code, 0, sink);
                }
            }
            Action::ResetAt { stream, code, reliable_size } => {
                if let Some(handle) = find(stream) {
                    self.reset_stream(handle, code, reliable_size, sink);
                }
            }
            Action::Stop { stream, code } => {
                if let Some(handle) = find(stream) {
                    self.stop_reading(handle, code);
                }
            }
            Action::CloseConnection { code, reason } => {
                let now = now.unwrap_or_else(Instant::now);
                self.quic.close(now, super::code(code), Bytes::from_static(reason.as_bytes()));
                let (source, reason) = (ConnectionEndSource::Error, reason.to_owned());
                self.end(ConnectionEnd { source, code, reason }, sink);
            }
        }
    }

    /// The first bytes of a stream that the core keeps for QPACK.
    fn critical_stream(&mut self, stream: wt_core::StreamId, sink: &mut Sink) -> Option<Handle> {
        if !self.core.owns_critical(stream) {
            return None;
        }
        let id = wt_quic::VarInt::from_u64(stream.0).ok()?;
        let handle = sink.handle();
        self.insert(handle, Stream::new(id.into(), Reader::Done, Sender::Open));
        Some(handle)
    }

    fn core_event(&mut self, event: wt_core::Event, sink: &mut Sink) {
        use wt_core::Event as Core;
        let find = |stream: wt_core::StreamId| {
            let id = wt_quic::VarInt::from_u64(stream.0).ok()?;
            self.by_id.get(&wt_quic::StreamId::from(id)).copied()
        };
        match event {
            Core::Ready { .. } => {
                self.ready(None, sink);
                self.open_waiting(sink);
            }
            Core::Unsupported { reason } => {
                self.ready(Some(reason), sink);
                self.open_waiting(sink);
            }
            Core::SessionRequest { session: id, request } => {
                self.ready(None, sink);
                let session = sink.handle();
                self.sessions.insert(session, id);
                self.session_handles.insert(id, session);
                let opens = Arc::<SessionFlow>::default();
                self.opens.begin(session, opens.clone());
                sink.message(Message::IncomingSession {
                    connection: self.handle,
                    flow: self.flow.clone(),
                    session,
                    request,
                    id: id.0.0,
                    early_data: self.tells_early,
                    opens,
                });
            }
            Core::SessionEstablished { session: id, response } => {
                if let Some(&session) = self.session_handles.get(&id) {
                    let info = SessionInfo {
                        status: response.status,
                        headers: response.headers,
                        protocol: response.protocol,
                        draft: response.draft,
                        id: id.0.0,
                    };
                    sink.event(Event::SessionReady { session, info: Box::new(info) });
                    self.count_session(session, sink);
                    self.open_waiting(sink);
                }
            }
            Core::SessionRejected { session: id, reason } => {
                if let Some(session) = self.forget_session(id) {
                    let (status, headers, reason) = match reason {
                        Rejection::Status { status, headers } => (status, headers, String::new()),
                        Rejection::Reset(code) => (0, Vec::new(), format!("reset with {code:#x}")),
                        Rejection::Malformed(what) => (0, Vec::new(), format!("malformed response: {what}")),
                        Rejection::GoingAway => (0, Vec::new(), "the server is going away".to_owned()),
                        Rejection::ConnectionLost => (0, Vec::new(), self.end_cause.clone()),
                    };
                    sink.event(Event::SessionRejected { session, status, headers, reason });
                }
            }
            Core::SessionClosed { session: id, end } => self.session_closed(id, end, sink),
            Core::SessionDraining { session: id } => {
                if let Some(&session) = self.session_handles.get(&id) {
                    sink.event(Event::SessionDraining { session });
                }
            }
            Core::GoingAway => {}
            Core::IncomingStream { session, stream, body, fin, reset } => {
                let (Some(handle), Some(&session)) = (find(stream), self.session_handles.get(&session))
                else {
                    return;
                };
                self.incoming_stream(session, handle, body, fin, reset, sink);
            }
            Core::StreamReset { stream, code, .. } => {
                if let Some(stream) = find(stream) {
                    self.tell_reset(stream, code, sink);
                }
            }
            Core::StreamStopped { stream, code, .. } => {
                if let Some((handle, stream)) =
                    find(stream).and_then(|x| Some((x, self.streams.get_mut(&x)?)))
                    && mem::take(&mut stream.app_writes)
                {
                    sink.event(Event::StreamStopped { stream: handle, code });
                    self.forget_if_done(handle);
                }
            }
            Core::Datagram { session, payload } => {
                let Some(&session) = self.session_handles.get(&session) else { return };
                let limit = self.config.limits.max_datagrams_queued;
                if sink.is_congested() || self.flow.datagrams_in.load(Relaxed) >= limit {
                    return sink.count_dropped_datagram();
                }
                self.flow.datagrams_in.fetch_add(1, Relaxed);
                sink.message(Message::Datagram { session, payload });
            }
            Core::StreamCredit { .. } => self.open_waiting(sink),
            Core::DataCredit { .. } => {
                let waiting: Vec<_> =
                    self.streams.iter().filter(|x| x.1.wants_credit).map(|x| *x.0).collect();
                for handle in waiting {
                    if let Some(stream) = self.streams.get_mut(&handle) {
                        stream.wants_credit = false;
                    }
                    self.write_stream(handle, sink);
                }
            }
        }
    }

    fn incoming_stream(
        &mut self,
        session: Handle,
        handle: Handle,
        body: Bytes,
        fin: bool,
        reset: Option<Option<u32>>,
        sink: &mut Sink,
    ) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        let id = stream.id;
        let flow = (id.dir() == wt_quic::Dir::Bi).then(Arc::<SendFlow>::default);
        stream.adopt(session, Bytes::new(), flow.clone());
        // Its end is told to the application even if it was read together with the header
        stream.app_reads = true;
        self.flow.give_stream();
        let connection = self.handle;
        sink.message(Message::IncomingStream { connection, session, stream: handle, id: id.into(), flow });
        self.deliver_first(handle, body, fin, sink);
        if let Some(code) = reset {
            if let Some(stream) = self.streams.get_mut(&handle) {
                stream.reader = Reader::Done;
            }
            self.tell_reset(handle, code, sink);
        }
    }

    fn tell_reset(&mut self, handle: Handle, code: Option<u32>, sink: &mut Sink) {
        if let Some(stream) = self.streams.get_mut(&handle) {
            if mem::take(&mut stream.app_reads) {
                let end = Some(End::Reset(code));
                sink.message(Message::Data { stream: handle, chunks: Vec::new(), end });
            }
            self.forget_if_done(handle);
        }
    }

    pub(super) fn forget_session(&mut self, id: SessionId) -> Option<Handle> {
        let handle = self.session_handles.remove(&id)?;
        self.sessions.remove(&handle);
        self.opens.end(handle);
        Some(handle)
    }

    fn session_closed(&mut self, id: SessionId, end: SessionEnd, sink: &mut Sink) {
        let Some(session) = self.forget_session(id) else { return };
        let streams: Vec<_> = self.streams.iter().filter(|x| x.1.session == session).map(|x| *x.0).collect();
        for handle in streams {
            self.end_stream(handle, sink);
            // What is still unread counts for the connection no more
            self.consumed(handle, usize::MAX);
        }
        self.opening.retain(|(stream, opening)| {
            if opening.session == session {
                opening.flow.place.set(None);
                sink.event(Event::StreamFailed { stream: *stream, reason: "the session has ended" });
            }
            opening.session != session
        });
        let (code, reason, source) = match end {
            SessionEnd::Closed { code, reason } => (code.into(), reason, SessionEndSource::Peer),
            SessionEnd::ClosedLocally => (0, String::new(), SessionEndSource::Local),
            SessionEnd::Reset(code) => (code, String::new(), SessionEndSource::Reset),
            SessionEnd::Violation { code, reason } => (code, reason.to_owned(), SessionEndSource::Error),
            SessionEnd::ConnectionLost => (0, self.end_reason.clone(), SessionEndSource::Connection),
        };
        sink.event(Event::SessionClosed { session, code, reason, source });
        // One that was never accepted was not counted
        if self.counted_sessions.remove(&session) {
            sink.shared().counters.sessions.fetch_sub(1, Relaxed);
        }
    }

    /// The session is established.
    pub(super) fn count_session(&mut self, session: Handle, sink: &mut Sink) {
        if self.counted_sessions.insert(session) {
            sink.shared().counters.sessions.fetch_add(1, Relaxed);
        }
    }

    /// The session of the stream is over: both directions end for the application.
    fn end_stream(&mut self, handle: Handle, sink: &mut Sink) {
        self.tell_reset(handle, None, sink);
        if let Some(stream) = self.streams.get_mut(&handle)
            && mem::take(&mut stream.app_writes)
        {
            sink.event(Event::StreamStopped { stream: handle, code: None });
            self.forget_if_done(handle);
        }
    }

    /// The connection is over: what the core did not know of ends too.
    pub(super) fn end_sessions(&mut self, sink: &mut Sink) {
        for (session, _) in mem::take(&mut self.requests) {
            reject(session, &self.end_cause, sink);
        }
        for (stream, opening) in mem::take(&mut self.opening) {
            opening.flow.place.set(None);
            sink.event(Event::StreamFailed { stream, reason: "the connection is closed" });
        }
        for id in self.session_handles.keys().copied().collect::<Vec<_>>() {
            self.session_closed(id, SessionEnd::ConnectionLost, sink);
        }
    }

    /// Tells the application once, before anything else about the connection.
    fn ready(&mut self, unsupported: Option<&'static str>, sink: &mut Sink) {
        if mem::replace(&mut self.told_ready, true) {
            return;
        }
        let tls = self.quic.crypto_session();
        let data =
            tls.handshake_data().and_then(|x| x.downcast::<wt_quic::crypto::rustls::HandshakeData>().ok());
        let chain = tls.peer_identity();
        let chain = chain.and_then(|x| x.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().ok());
        let protocol = data.as_ref().and_then(|x| x.protocol.as_deref()).unwrap_or_default();
        let info = ConnectionInfo {
            remote: super::socket::canonical(self.quic.remote_address()),
            local: self.quic.local_ip().map(|x| x.to_canonical()),
            alpn: String::from_utf8_lossy(protocol).into_owned(),
            cipher_suite: data.as_ref().and_then(|x| x.cipher_suite).and_then(|x| x.as_str()),
            server_name: data.and_then(|x| x.server_name),
            peer_certificates: chain.map(|x| x.iter().map(|x| x.to_vec()).collect()).unwrap_or_default(),
            draft: self.core.draft(),
            unsupported,
            peer_max_datagram_frame_size: self.quic.peer_max_datagram_frame_size().map(|x| x.into_inner()),
            peer_reset_stream_at: self.quic.peer_supports_reset_stream_at(),
            flow_control_drafts: self.core.flow_control_drafts(),
            peer_limits: self.core.settings().1.map(|x| x.limits).unwrap_or_default(),
        };
        sink.event(Event::ConnectionReady { connection: self.handle, info: Box::new(info) });
    }
}
