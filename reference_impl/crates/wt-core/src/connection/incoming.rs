//! The first bytes of the streams that the peer opens: what kind of stream it is, and whose (RFC 9114 §6.2,
//! -16 §4.2 and §4.3).

use bytes::Bytes;

use super::{
    Connection, Fault, Stream,
    control::ControlStream,
    data::{DataStream, Recv},
    request::RequestStream,
};
use crate::{
    Dir, Event, Feed, Role, SessionId, StreamId, code, early::HeldStream, flow::Violation, frame, varint,
};

/// Control stream (RFC 9114 §6.2.1)
pub(super) const CONTROL_STREAM: u64 = 0x00;
/// Push stream (RFC 9114 §6.2.2)
const PUSH_STREAM: u64 = 0x01;
/// QPACK encoder stream (RFC 9204 §4.2)
pub(super) const ENCODER_STREAM: u64 = 0x02;
/// QPACK decoder stream (RFC 9204 §4.2)
pub(super) const DECODER_STREAM: u64 = 0x03;
/// Unidirectional WebTransport stream (-16 §4.2)
pub(super) const WT_UNI_STREAM: u64 = 0x54;

/// What the next integer of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The type of a unidirectional stream
    Type,
    /// The signal value of a bidirectional stream that a server opened
    Signal,
    /// A frame of a stream that a client opened
    Frame,
    /// The session ID
    Session,
}

/// The header of a stream, as far as it has come.
#[derive(Debug)]
pub(super) struct Head {
    next: Next,
    partial: varint::Partial,
    /// Bytes of the header so far
    length: u64,
    /// The peer's STOP_SENDING; our side was reset at once
    stopped: Option<u64>,
}

impl Head {
    pub(super) fn new(id: StreamId) -> Self {
        let next = match (id.dir(), id.initiator()) {
            (Dir::Uni, _) => Next::Type,
            (Dir::Bidi, Role::Server) => Next::Signal,
            (Dir::Bidi, Role::Client) => Next::Frame,
        };
        Self { next, partial: varint::Partial::default(), length: 0, stopped: None }
    }

    /// After the signal value, which ended at `length`
    pub(super) fn session(length: u64) -> Self {
        Self { next: Next::Session, partial: varint::Partial::default(), length, stopped: None }
    }

    /// Takes note of STOP_SENDING. `false`: it came before.
    pub(super) fn stop(&mut self, code: u64) -> bool {
        self.stopped.replace(code).is_none()
    }
}

impl Connection {
    pub(super) fn incoming(
        &mut self,
        id: StreamId,
        mut head: Head,
        mut data: Bytes,
        fin: bool,
    ) -> Result<Feed, Fault> {
        loop {
            if head.next == Next::Frame {
                self.next_request = self.next_request.max(id.0.saturating_add(4));
                return self.request_data(id, RequestStream::request(), data, fin);
            }
            if head.next == Next::Signal && self.draft.is_none() {
                // RFC 9114 §6.1; before a session there cannot be such a stream either
                return Err(Fault(code::H3_STREAM_CREATION_ERROR, "a server opened a bidirectional stream"));
            }
            let before = data.len();
            let value = head.partial.read(&mut data);
            head.length += (before - data.len()) as u64;
            let Some(value) = value else {
                return Ok(self.header_incomplete(id, head, fin));
            };
            match (head.next, value) {
                (Next::Session, session) => {
                    let stopped = head.stopped;
                    let held =
                        HeldStream { stream: id, body: data, fin, reset: None, stopped, header: head.length };
                    return self.associate(SessionId(StreamId(session)), held);
                }
                (Next::Type, WT_UNI_STREAM) | (Next::Signal, frame::WT_STREAM) => head.next = Next::Session,
                (Next::Signal, _) => {
                    // -16 has no rule for what is neither; older drafts allow frames, of which none has a meaning
                    return Ok(self.refuse(id, code::H3_STREAM_CREATION_ERROR, fin));
                }
                (_, kind) => return self.typed_stream(id, kind, data, fin),
            }
        }
    }

    /// The stream has ended within its header, or more has to come. An end here concerns no session and is no
    /// error (RFC 9114 §6.2).
    fn header_incomplete(&mut self, id: StreamId, head: Head, fin: bool) -> Feed {
        if fin {
            if id.dir() == Dir::Bidi {
                self.reset(id, code::H3_REQUEST_INCOMPLETE);
            }
            return Feed::Discard;
        }
        self.streams.insert(id, Stream::Head(head));
        Feed::Core
    }

    /// A unidirectional stream that is none of WebTransport.
    fn typed_stream(&mut self, id: StreamId, kind: u64, data: Bytes, fin: bool) -> Result<Feed, Fault> {
        let (seen, stream) = match (kind, self.role) {
            (CONTROL_STREAM, _) => (&mut self.critical.control, Stream::Control(ControlStream::new())),
            (ENCODER_STREAM, _) => (&mut self.critical.encoder, Stream::Encoder),
            (DECODER_STREAM, _) => (&mut self.critical.decoder, Stream::Decoder),
            (PUSH_STREAM, Role::Server) => {
                return Err(Fault(code::H3_STREAM_CREATION_ERROR, "a client opened a push stream"));
            }
            (PUSH_STREAM, Role::Client) => {
                return Err(Fault(code::H3_ID_ERROR, "a push that was not allowed"));
            }
            _ => {
                // RFC 9114 §6.2: unknown types are stopped or discarded
                self.ignore_element()?;
                return Ok(self.refuse(id, code::H3_STREAM_CREATION_ERROR, fin));
            }
        };
        if std::mem::replace(seen, true) {
            return Err(Fault(code::H3_STREAM_CREATION_ERROR, "a critical stream was opened twice"));
        }
        self.streams.insert(id, stream);
        self.stream_data(id, data, fin)
    }

    /// Ends a stream of the peer that is not wanted.
    fn refuse(&mut self, id: StreamId, code: u64, fin: bool) -> Feed {
        if !fin {
            self.stop(id, code);
        }
        if id.dir() == Dir::Bidi {
            self.reset(id, code);
        }
        Feed::Discard
    }

    /// Finds the session of a stream (-16 §4, §4.6, §6).
    fn associate(&mut self, session: SessionId, held: HeldStream) -> Result<Feed, Fault> {
        let (id, fin) = (held.stream, held.fin);
        if !session.0.is_request() {
            return Err(Fault(
                code::H3_ID_ERROR,
                "a session ID that is no client-initiated bidirectional stream",
            ));
        }
        match self.sessions.get(&session) {
            Some(state) if state.is_established() => {
                self.attach(session, held);
                Ok(Feed::Application)
            }
            None if self.gone.contains(session) => {
                let code = self.draft.map_or(code::WT_SESSION_GONE, super::session::gone_code);
                Ok(self.refuse(id, code, fin))
            }
            // A client knows all sessions that can be
            None if self.role == Role::Client => Ok(self.refuse(id, code::WT_BUFFERED_STREAM_REJECTED, fin)),
            _ => match self.early.hold(session, held, self.config.max_buffered_streams) {
                true => Ok(Feed::Hold),
                false => Ok(self.refuse(id, code::WT_BUFFERED_STREAM_REJECTED, fin)),
            },
        }
    }

    /// Gives a stream to its established session.
    pub(super) fn attach(&mut self, session: SessionId, held: HeldStream) {
        let HeldStream { stream, body, fin, reset, stopped, header } = held;
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let mut received = body.len() as u64;
        match (reset, &mut state.flow) {
            (Some((_, Some(final_size))), _) => received = received.max(final_size.saturating_sub(header)),
            (Some((_, None)), Some(flow)) => flow.lost_count(),
            _ => {}
        }
        state.streams.insert(stream);
        self.ignored = 0;
        let account = state.flow.as_mut().map_or(Ok(()), |flow| {
            flow.accepted(stream.dir())?;
            flow.received(received)
        });
        self.data.insert(
            stream,
            DataStream {
                session,
                header,
                local: false,
                send_open: stream.dir() == Dir::Bidi && stopped.is_none(),
                recv: if reset.is_none() { Recv::Open } else { Recv::Closed },
                received,
                consumed: 0,
            },
        );
        if let Err(Violation(reason)) = account {
            self.fail_session(session, Violation::CODE, reason);
            return;
        }
        let reset = reset.map(|(code, _)| code::to_application(code));
        let is_reset = reset.is_some();
        self.events.push_back(Event::IncomingStream { session, stream, body, fin, reset });
        if let Some(code) = stopped {
            self.events.push_back(Event::StreamStopped { session, stream, code: code::to_application(code) });
        }
        if is_reset {
            self.forget_finished(stream);
        }
    }

    /// Gives all that was kept for a session to it (-16 §4.6).
    pub(super) fn release_early(&mut self, session: SessionId) {
        for held in self.early.take_streams(session) {
            if self.sessions.contains_key(&session) {
                self.attach(session, held);
            } else {
                self.drop_held(held, code::WT_SESSION_GONE);
            }
        }
        for payload in self.early.take_datagrams(session) {
            if self.sessions.contains_key(&session) {
                self.events.push_back(Event::Datagram { session, payload });
            }
        }
    }

    /// Ends what was kept for a session that there will not be.
    pub(super) fn reject_early(&mut self, session: SessionId, code: u64) {
        self.early.take_datagrams(session);
        for held in self.early.take_streams(session) {
            self.drop_held(held, code);
        }
    }

    /// Stops the stream also if it has ended already: the driver, which keeps it too, has to let go of it.
    fn drop_held(&mut self, held: HeldStream, code: u64) {
        self.stop(held.stream, code);
        if held.stream.dir() == Dir::Bidi && held.stopped.is_none() {
            self.reset(held.stream, code);
        }
    }
}
