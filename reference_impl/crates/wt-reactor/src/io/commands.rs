//! What the application wants from one connection.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use wt_channel::SendFlow;
use wt_core::{ConnectError, Dir, OpenError};

use super::{
    connection::Connection,
    sink::Sink,
    stream::{Reader, Sender, Stream},
};
use crate::message::{
    Answer, ConnectionCommand as Command, DATAGRAM_HEADROOM, Event, Handle, Negotiated, SessionInfo,
};

/// A stream of ours that waits for the peer's limits.
pub(super) struct Opening {
    pub(super) session: Handle,
    dir: Dir,
    pub(super) flow: Arc<SendFlow>,
    /// The application is not told of its place
    quiet: bool,
    queue: Vec<Bytes>,
    fin: bool,
}

impl Opening {
    pub(super) fn is_of(&self, session: Handle, dir: Dir) -> bool {
        self.session == session && self.dir == dir
    }
}

/// The connection is gone; what wants an answer gets one.
pub(super) fn refuse_command(command: Command, cause: &str, sink: &mut Sink) {
    match command {
        Command::Export { token, .. } | Command::Stats { token } | Command::Limits { token, .. } => {
            sink.event(Event::Answer { token, answer: Answer::Nothing });
        }
        Command::Request { session, .. } => reject(session, cause, sink),
        Command::Open { stream, flow, .. } => {
            flow.place.set(None);
            sink.event(Event::StreamFailed { stream, reason: "the connection is closed" });
        }
        _ => {}
    }
}

pub(super) fn reject(session: Handle, reason: &str, sink: &mut Sink) {
    let reason = reason.to_owned();
    sink.event(Event::SessionRejected { session, status: 0, headers: Vec::new(), reason });
}

impl Connection {
    pub(super) fn command(&mut self, now: Instant, command: Command, sink: &mut Sink) {
        self.note_time(now);
        if self.ended {
            return refuse_command(command, &self.end_cause, sink);
        }
        let id = |session: Handle| self.sessions.get(&session).copied();
        match command {
            Command::Request { session, request, opens } => {
                self.opens.begin(session, opens);
                self.requests.push_back((session, request));
                self.open_waiting(sink);
            }
            // Commands for sessions that ended meanwhile come to nothing: the application was told
            Command::Accept { session, options } => {
                if let Some(id) = id(session) {
                    let (headers, protocol) = (options.headers.clone(), options.protocol.clone());
                    // Not the connection's: a client may have declared none
                    let draft = self.core.session_draft(id);
                    if let (Ok(()), Some(draft)) = (self.core.accept(id, *options), draft) {
                        let info = SessionInfo { status: 200, headers, protocol, draft, id: id.0.0 };
                        sink.event(Event::SessionReady { session, info: Box::new(info) });
                        self.count_session(session, sink);
                    }
                }
            }
            Command::Reject { session, status, headers } => {
                if let Some(id) = id(session) {
                    let _ = self.core.reject(id, status, &headers);
                    self.forget_session(id);
                }
            }
            Command::CloseSession { session, code, reason } => {
                if let Some(id) = id(session) {
                    let _ = self.core.close_session(id, code, &reason);
                } else if let Some(index) = self.requests.iter().position(|x| x.0 == session) {
                    self.requests.remove(index);
                    reject(session, "closed here", sink);
                }
            }
            Command::DrainSession { session } => {
                if let Some(id) = id(session) {
                    let _ = self.core.drain_session(id);
                }
            }
            Command::AnswerStops { session, code } => {
                if let Some(id) = id(session) {
                    let _ = self.core.answer_stops_with(id, code);
                }
            }
            Command::Datagram { session, data } => self.datagram(session, data, sink),
            Command::Open { session, stream, dir, flow, quiet } => {
                self.opens.saw(session, dir);
                if self.opening.len() >= self.config.limits.max_opening_streams {
                    flow.place.set(None);
                    sink.event(Event::StreamFailed { stream, reason: "too many streams wait" });
                } else {
                    let opening = Opening { session, dir, flow, quiet, queue: Vec::new(), fin: false };
                    self.opening.push_back((stream, opening));
                    self.open_waiting(sink);
                }
            }
            Command::Write { stream, data, fin } => {
                if let Some(x) = self.streams.get_mut(&stream) {
                    x.push(data, fin);
                    self.write_stream(stream, sink);
                } else if let Some((_, x)) = self.opening.iter_mut().find(|x| x.0 == stream) {
                    x.queue.push(data);
                    x.fin |= fin;
                }
            }
            Command::Reset { stream, code } => {
                if let Some(x) = self.streams.get_mut(&stream) {
                    x.app_writes = false;
                    let _ = self.core.reset_stream(wt_core::StreamId(x.id.into()), code);
                } else {
                    self.opening.retain(|x| x.0 != stream);
                }
            }
            Command::Stop { stream, code } => {
                if let Some(x) = self.streams.get_mut(&stream) {
                    x.app_reads = false;
                    let _ = self.core.stop_stream(wt_core::StreamId(x.id.into()), code);
                    self.pump(sink);
                    // What was delivered and will not be read any more
                    self.consumed(stream, usize::MAX);
                    self.forget_if_done(stream);
                }
            }
            Command::Consumed { stream, bytes } => self.consumed(stream, bytes),
            Command::Export { session, token, label, context, length } => {
                let answer = self.export(session, &label, &context, length);
                sink.event(Event::Answer { token, answer: answer.unwrap_or(Answer::Nothing) });
            }
            Command::Limits { session, token } => {
                let limits = id(session).and_then(|id| self.core.session_limits(id).ok());
                sink.event(Event::Answer { token, answer: limits.map_or(Answer::Nothing, Answer::Limits) });
            }
            Command::Stats { token } => {
                let (settings, peer_settings) = self.core.settings();
                let negotiated = Negotiated {
                    settings: settings.listed(),
                    peer_settings: peer_settings.map(|x| x.listed()),
                    parameters: self.config.transport.parameters(),
                    peer_parameters: self.quic.peer_transport_parameters(),
                };
                let answer = Answer::Stats(Box::new(self.quic.stats()), Box::new(negotiated));
                sink.event(Event::Answer { token, answer });
            }
        }
        self.pump_at(Some(now), sink);
    }

    fn export(&self, session: Handle, label: &[u8], context: &[u8], length: usize) -> Option<Answer> {
        let context = self.core.exporter_context(*self.sessions.get(&session)?, label, context).ok()?;
        let mut material = vec![0; length];
        let tls = self.quic.crypto_session();
        tls.export_keying_material(&mut material, b"EXPORTER-WebTransport", &context).ok()?;
        Some(Answer::KeyingMaterial(material))
    }

    fn datagram(&mut self, session: Handle, mut data: BytesMut, sink: &mut Sink) {
        let payload = data.len().saturating_sub(DATAGRAM_HEADROOM);
        let header = self.sessions.get(&session).and_then(|id| self.core.datagram_header(*id).ok());
        let Some(header) = header.filter(|x| x.len() <= DATAGRAM_HEADROOM) else {
            self.flow.datagrams_out.fetch_sub(payload, Relaxed);
            return sink.count_dropped_datagram();
        };
        let start = DATAGRAM_HEADROOM - header.len();
        data[start..DATAGRAM_HEADROOM].copy_from_slice(&header);
        // Counted with its header from here on
        self.flow.datagrams_out.fetch_add(header.len(), Relaxed);
        self.datagrams.push_back(data.freeze().slice(start..));
        self.send_datagrams(sink);
    }

    pub(super) fn goaway(&mut self, sink: &mut Sink) {
        self.core.goaway();
        for id in self.sessions.values().copied().collect::<Vec<_>>() {
            let _ = self.core.drain_session(id);
        }
        self.pump(sink);
    }

    pub(super) fn close_sessions(&mut self, sink: &mut Sink) {
        for id in self.sessions.values().copied().collect::<Vec<_>>() {
            let _ = self.core.close_session(id, 0, "");
        }
        self.pump(sink);
    }

    /// Sessions and streams that wait, as far as the limits allow.
    pub(super) fn open_waiting(&mut self, sink: &mut Sink) {
        self.opens.stale = true;
        while let Some((session, request)) = self.requests.pop_front() {
            match self.core.check_connect() {
                Ok(()) => {}
                Err(ConnectError::NotReady) => {
                    self.requests.push_front((session, request));
                    break;
                }
                Err(error) => {
                    reject(session, &error.to_string(), sink);
                    continue;
                }
            }
            let Some(id) = self.next_stream(wt_quic::Dir::Bi) else {
                self.requests.push_front((session, request));
                break;
            };
            self.insert(sink.handle(), Stream::new(id, Reader::Core, Sender::Open));
            match self.core.connect(wt_core::StreamId(id.into()), *request) {
                Ok(id) => {
                    self.sessions.insert(session, id);
                    self.session_handles.insert(id, session);
                }
                Err(error) => {
                    reject(session, &error.to_string(), sink);
                    self.abandon(id, sink);
                }
            }
        }
        let mut waiting = mem::take(&mut self.opening);
        while let Some((stream, opening)) = waiting.pop_front() {
            if let Some(opening) = self.open(stream, opening, sink) {
                self.opening.push_back((stream, opening));
            }
        }
        self.pump(sink);
    }

    /// A stream that was opened in vain.
    fn abandon(&mut self, id: wt_quic::StreamId, sink: &mut Sink) {
        const H3_REQUEST_CANCELLED: u64 = 0x10c;
        if let Some(&handle) = self.by_id.get(&id) {
            self.reset_stream(handle, H3_REQUEST_CANCELLED, 0, sink);
            self.stop_reading(handle, H3_REQUEST_CANCELLED);
        }
    }

    /// Gives the stream back if it has to wait on.
    fn open(&mut self, handle: Handle, opening: Opening, sink: &mut Sink) -> Option<Opening> {
        let Some(&session) = self.sessions.get(&opening.session) else {
            opening.flow.place.set(None);
            sink.event(Event::StreamFailed { stream: handle, reason: "the session has ended" });
            return None;
        };
        match self.core.check_open(session, opening.dir) {
            Ok(()) => {}
            Err(OpenError::Blocked) => return Some(opening),
            Err(OpenError::Unknown | OpenError::BadStream) => {
                opening.flow.place.set(None);
                sink.event(Event::StreamFailed { stream: handle, reason: "the session is not established" });
                return None;
            }
        }
        let (dir, reader) = match opening.dir {
            Dir::Bidi => (wt_quic::Dir::Bi, Reader::Core),
            Dir::Uni => (wt_quic::Dir::Uni, Reader::Done),
        };
        let Some(id) = self.next_stream(dir) else { return Some(opening) };
        let mut stream = Stream::new(id, reader, Sender::Open);
        match self.core.bind_stream(session, wt_core::StreamId(id.into())) {
            Ok(header) => {
                opening.flow.place.set(Some(id.into()));
                stream.adopt(opening.session, header, Some(opening.flow));
            }
            Err(_) => {
                opening.flow.place.set(None);
                self.insert(handle, stream);
                self.abandon(id, sink);
                sink.event(Event::StreamFailed { stream: handle, reason: "the session has ended" });
                return None;
            }
        }
        opening.queue.into_iter().for_each(|data| stream.push(data, false));
        stream.push(Bytes::new(), opening.fin);
        self.insert(handle, stream);
        if !opening.quiet {
            sink.event(Event::StreamOpened { stream: handle, id: id.into() });
        }
        self.write_stream(handle, sink);
        None
    }
}
