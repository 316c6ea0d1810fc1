//! The state machine of one connection.
//!
//! This file has the state and the ways in and out; what happens on each kind of stream is in the files beside
//! it. A rule that the peer broke travels up as a [`Fault`] and closes the connection here.

mod client;
mod compression;
mod control;
mod data;
mod datagram;
mod incoming;
mod request;
mod server;
mod session;

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;

use crate::{
    Action, Config, Draft, Event, Feed, Input, QpackStreams, RememberedSettings, Role, SessionEnd, SessionId,
    StreamId, TransportFacts, code, early::Early, fields::RequestHead, frame, gone::Gone, settings::Settings,
    varint,
};
use compression::Compression;
use control::ControlStream;
use data::DataStream;
use incoming::Head;
use request::RequestStream;
pub use session::EXPORTER_LABEL;
use session::Session;

/// A connection error: its HTTP/3 code and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fault(u64, &'static str);

/// A stream that the core reads.
#[derive(Debug)]
enum Stream {
    /// Type or signal value and session ID are not complete.
    Head(Head),
    /// The peer's control stream
    Control(ControlStream),
    /// The peer's QPACK encoder stream
    Encoder,
    /// The peer's QPACK decoder stream
    Decoder,
    /// Requests and responses, CONNECT streams among them
    Request(RequestStream),
}

/// The peer's unidirectional streams of which there is one each (RFC 9114 §6.2.1, RFC 9204 §4.2).
#[derive(Debug, Default)]
struct Critical {
    control: bool,
    encoder: bool,
    decoder: bool,
}

/// HTTP/3 and WebTransport on one QUIC connection.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    role: Role,
    closed: bool,
    ours: Settings,
    facts: Option<TransportFacts>,
    /// Our control stream
    control: Option<StreamId>,
    compression: Compression,
    peer: Option<Settings>,
    draft: Option<Draft>,
    critical: Critical,
    streams: FxHashMap<StreamId, Stream>,
    /// Streams of sessions
    data: FxHashMap<StreamId, DataStream>,
    sessions: FxHashMap<SessionId, Session>,
    early: Early,
    gone: Gone,
    /// Server: requests that wait for SETTINGS
    awaiting: Vec<(StreamId, RequestHead)>,
    /// Server: one above the highest request stream seen
    next_request: u64,
    /// Server: the field section of a request was complete
    asked: bool,
    goaway_sent: Option<u64>,
    goaway_received: Option<u64>,
    max_push_id: Option<u64>,
    ignored: u32,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

impl Connection {
    /// A connection whose handshake is not finished.
    pub fn new(config: Arc<Config>, role: Role) -> Self {
        Self {
            ours: Settings::of(&config, role),
            config,
            role,
            closed: false,
            facts: None,
            control: None,
            compression: Compression::default(),
            peer: None,
            draft: None,
            critical: Critical::default(),
            streams: FxHashMap::default(),
            data: FxHashMap::default(),
            sessions: FxHashMap::default(),
            early: Early::default(),
            gone: Gone::default(),
            awaiting: Vec::new(),
            next_request: 0,
            asked: false,
            goaway_sent: None,
            goaway_received: None,
            max_push_id: None,
            ignored: 0,
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes what happened on the QUIC connection. The result concerns [`Input::StreamData`] only; after an
    /// [`Action::Stop`] the stream named there must not be fed any more.
    pub fn handle(&mut self, input: Input) -> Feed {
        if self.closed {
            return Feed::Discard;
        }
        let result = match input {
            Input::Established { facts, control, qpack } => {
                self.established(facts, control, qpack);
                Ok(Feed::Core)
            }
            Input::StreamData { stream, data, fin } => self.stream_data(stream, data, fin),
            Input::StreamReset { stream, code, final_size } => {
                self.stream_reset(stream, code, final_size).map(|()| Feed::Discard)
            }
            Input::StreamStopped { stream, code } => {
                self.stream_stopped(stream, code).map(|()| Feed::Discard)
            }
            Input::Datagram(payload) => self.datagram(payload).map(|()| Feed::Discard),
            Input::ConnectionLost => {
                self.closed = true;
                self.end_all(&SessionEnd::ConnectionLost);
                Ok(Feed::Discard)
            }
        };
        match result {
            Ok(feed) => feed,
            Err(Fault(code, reason)) => {
                self.close(code, reason);
                Feed::Discard
            }
        }
    }

    /// The next thing to do on the QUIC connection.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The newest draft that both sides speak, once [`Event::Ready`] came.
    pub fn draft(&self) -> Option<Draft> {
        self.draft
    }

    /// What a client keeps of the server's SETTINGS for 0-RTT ([`Config::remembered`]).
    pub fn remember(&self) -> Option<RememberedSettings> {
        self.peer.as_ref().map(Settings::remember)
    }

    /// SETTINGS of both sides, ours first, for statistics.
    pub fn settings(&self) -> (&Settings, Option<&Settings>) {
        (&self.ours, self.peer.as_ref())
    }

    /// Server: whether there was a request, of whatever kind.
    pub fn was_asked(&self) -> bool {
        self.asked
    }

    /// The drafts in which session flow control is in force, by the SETTINGS of both sides (-16 §5.1).
    pub fn flow_control_drafts(&self) -> Vec<Draft> {
        self.config.drafts.iter().copied().filter(|draft| self.flow_control_in(*draft)).collect()
    }

    /// Whether session flow control is in force for the negotiated draft.
    pub fn flow_control(&self) -> bool {
        self.draft.is_some_and(|draft| self.flow_control_in(draft))
    }

    /// Whether every CONNECT stream is closed by the peer, so that closing the connection loses no close
    /// capsule (-16 §6).
    pub fn is_quiescent(&self) -> bool {
        self.sessions.is_empty() && !self.streams.values().any(|stream| matches!(stream, Stream::Request(_)))
    }

    /// Closes the connection. Sessions end with the same code; use `goaway` and `close_session` before to be
    /// graceful (RFC 9114 §5.2).
    pub fn close(&mut self, code: u64, reason: &'static str) {
        if !mem::replace(&mut self.closed, true) {
            self.end_all(&SessionEnd::Violation { code, reason });
            self.actions.push_back(Action::CloseConnection { code, reason });
        }
    }

    /// Sends GOAWAY: requests that arrive later are refused with H3_REQUEST_REJECTED (RFC 9114 §5.2). A
    /// client's GOAWAY concerns pushes, of which it allows none.
    pub fn goaway(&mut self) {
        let id = match self.role {
            // The largest ID of a request stream there is
            Role::Server => self.next_request.min(varint::MAX - 3),
            Role::Client => 0,
        };
        let (Some(control), false) = (self.control, self.closed) else { return };
        if self.goaway_sent.is_none_or(|sent| id < sent) {
            self.goaway_sent = Some(id);
            self.write(control, frame::encode_integer(frame::GOAWAY, id), false);
        }
    }

    /// The peer's side.
    fn peer_role(&self) -> Role {
        match self.role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }

    fn flow_control_in(&self, draft: Draft) -> bool {
        self.peer.as_ref().is_some_and(|peer| Settings::flow_control(draft, &self.ours, peer))
    }

    /// Opens the control stream: type, SETTINGS and a reserved frame (RFC 9114 §6.2.1, §7.2.8).
    fn established(&mut self, facts: TransportFacts, control: StreamId, qpack: Option<QpackStreams>) {
        if qpack.is_none() {
            (self.ours.qpack_max_table_capacity, self.ours.qpack_blocked_streams) = (0, 0);
        }
        self.compression = Compression::new(&self.ours, qpack);
        let mut out = BytesMut::with_capacity(128);
        varint::encode(incoming::CONTROL_STREAM, &mut out);
        self.ours.encode(self.config.grease, &mut out);
        if let Some(seed) = self.config.grease {
            frame::encode(frame::reserved(seed.rotate_right(8)), &[], &mut out);
        }
        self.facts = Some(facts);
        self.control = Some(control);
        self.write(control, out.freeze(), false);
    }

    fn stream_data(&mut self, id: StreamId, mut data: Bytes, fin: bool) -> Result<Feed, Fault> {
        if self.data.contains_key(&id) {
            return Ok(Feed::Application);
        }
        if self.early.find(id).is_some() {
            return Ok(Feed::Hold);
        }
        match self.streams.remove(&id) {
            None if id.initiator() == self.role => Ok(Feed::Discard),
            None => self.incoming(id, Head::new(id), data, fin),
            Some(Stream::Head(head)) => self.incoming(id, head, data, fin),
            Some(Stream::Request(request)) => self.request_data(id, request, data, fin),
            Some(mut critical) => {
                match &mut critical {
                    Stream::Control(control) => self.control_data(control, &mut data)?,
                    Stream::Encoder => self.encoder_data(&data)?,
                    Stream::Decoder => self.decoder_data(&data)?,
                    Stream::Head(_) | Stream::Request(_) => {}
                }
                if fin {
                    return Err(Fault(code::H3_CLOSED_CRITICAL_STREAM, "a critical stream was finished"));
                }
                self.streams.insert(id, critical);
                Ok(Feed::Core)
            }
        }
    }

    fn stream_reset(&mut self, id: StreamId, code: u64, final_size: Option<u64>) -> Result<(), Fault> {
        if self.data.contains_key(&id) {
            self.data_reset(id, code, final_size);
            return Ok(());
        }
        if let Some(held) = self.early.find(id) {
            held.reset = Some((code, final_size));
            return Ok(());
        }
        match self.streams.remove(&id) {
            Some(Stream::Control(_) | Stream::Encoder | Stream::Decoder) => {
                Err(Fault(code::H3_CLOSED_CRITICAL_STREAM, "a critical stream was reset"))
            }
            Some(Stream::Request(request)) => {
                self.cancel_sections(id);
                self.request_reset(id, request, code);
                Ok(())
            }
            // A header that never became complete concerns no session (-16 §4.4)
            Some(Stream::Head(_)) | None => {
                if id.dir() == crate::Dir::Bidi && id.initiator() != self.role {
                    self.reset(id, code::H3_REQUEST_INCOMPLETE);
                    // There may have been a section in what never came
                    self.cancel_sections(id);
                }
                Ok(())
            }
        }
    }

    fn stream_stopped(&mut self, id: StreamId, code: u64) -> Result<(), Fault> {
        if self.owns_critical(id) {
            return Err(Fault(code::H3_CLOSED_CRITICAL_STREAM, "a critical stream was stopped"));
        }
        if self.data.contains_key(&id) {
            self.data_stopped(id, code);
            return Ok(());
        }
        let is_new = match (self.early.find(id), self.streams.get_mut(&id)) {
            (Some(held), _) => held.stopped.replace(code).is_none(),
            (None, Some(Stream::Head(head))) => head.stop(code),
            (None, Some(Stream::Request(_))) => {
                if let Some(Stream::Request(request)) = self.streams.remove(&id) {
                    self.request_stopped(id, request, code);
                }
                false
            }
            _ => false,
        };
        if is_new {
            self.reset(id, code);
        }
        Ok(())
    }

    /// Whether the stream is our control stream or one of our QPACK streams.
    pub fn owns_critical(&self, id: StreamId) -> bool {
        self.control == Some(id) || self.compression.owns(id)
    }

    /// Counts what has no effect; too much of it is a connection error (RFC 9114 §10.5).
    fn ignore_element(&mut self) -> Result<(), Fault> {
        self.ignored += 1;
        if self.ignored > self.config.max_ignored_elements {
            return Err(Fault(code::H3_EXCESSIVE_LOAD, "too many elements without effect"));
        }
        Ok(())
    }

    fn write(&mut self, stream: StreamId, data: Bytes, fin: bool) {
        self.actions.push_back(Action::Write { stream, data, fin });
    }

    fn reset(&mut self, stream: StreamId, code: u64) {
        self.actions.push_back(Action::Reset { stream, code });
    }

    fn stop(&mut self, stream: StreamId, code: u64) {
        self.actions.push_back(Action::Stop { stream, code });
    }
}
