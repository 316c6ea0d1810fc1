//! Sessions: their capsules, and how they end (-16 §4.7, §5, §6).

use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashSet;

use super::{
    Connection, Fault, Stream,
    request::{Phase, RequestStream},
};
use crate::{
    Draft, Event, FlowSwitch, Rejection, Role, SessionEnd, SessionError, SessionId, SessionLimits, StreamId,
    capsule::{self, Capsule, Known},
    code,
    flow::{Flow, Relief, Violation},
    frame,
};

/// Label of the TLS exporter (-16 §4.8)
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-WebTransport";

/// A session, from its request to its end.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) draft: Draft,
    /// The 2xx was sent or received
    pub(super) established: bool,
    /// Where flow control is in force
    pub(super) flow: Option<Box<Flow>>,
    /// Streams that are not done with
    pub(super) streams: FxHashSet<StreamId>,
    /// Protocols that the client offered
    pub(super) protocols: Vec<String>,
    /// Client: whether one of them has to be chosen
    pub(super) require_protocol: bool,
    /// We sent a drain capsule
    drained: bool,
    /// Application code that answers the peer's STOP_SENDING; none: the peer's own
    pub(super) stop_answer: Option<u32>,
}

impl Session {
    pub(super) fn is_established(&self) -> bool {
        self.established
    }

    pub(super) fn known_capsules(&self, max_datagram: u64) -> Known {
        let facts = self.draft.facts();
        Known {
            drain: facts.has_drain,
            flow_control: self.flow.is_some(),
            prohibits: facts.flow_switch != FlowSwitch::Never,
            max_datagram,
        }
    }
}

/// The code for streams of an ended session (-16 §6; -02 §5 names none).
pub(super) fn gone_code(draft: Draft) -> u64 {
    if draft.facts().has_session_gone { code::WT_SESSION_GONE } else { code::H3_REQUEST_CANCELLED }
}

impl Connection {
    pub(super) fn new_session(
        &self,
        draft: Draft,
        protocols: Vec<String>,
        require_protocol: bool,
    ) -> Session {
        let flow = self.peer.as_ref().filter(|_| self.flow_control_in(draft)).map(|peer| {
            Box::new(Flow::new(
                self.ours.limits,
                peer.limits,
                self.config.max_data_window,
                draft.facts().equal_limit_is_error,
            ))
        });
        Session {
            draft,
            established: false,
            flow,
            streams: FxHashSet::default(),
            protocols,
            require_protocol,
            drained: false,
            stop_answer: None,
        }
    }

    /// The limits of a session; `None` where no flow control is in force, so that only those of QUIC count.
    pub fn session_limits(&self, session: SessionId) -> Result<Option<SessionLimits>, SessionError> {
        let state = self.sessions.get(&session).ok_or(SessionError::Unknown)?;
        Ok(state.flow.as_ref().map(|flow| flow.limits()))
    }

    /// Closes a session: WT_CLOSE_SESSION and FIN, or only FIN for `(0, "")`, which means the same (-16 §6). The
    /// reason is cut to 1024 bytes at a character boundary. A client's request without answer is cancelled, a
    /// server's is refused. [`Event::SessionClosed`] follows.
    pub fn close_session(&mut self, session: SessionId, code: u32, reason: &str) -> Result<(), SessionError> {
        let state = self.sessions.get(&session).ok_or(SessionError::Unknown)?;
        if !state.established {
            return match self.role {
                Role::Server => self.reject(session, 503, &[]),
                Role::Client => {
                    self.cut_connect_stream(session, code::H3_REQUEST_CANCELLED);
                    self.end_session(session, SessionEnd::ClosedLocally);
                    Ok(())
                }
            };
        }
        let reason = capsule::truncate_message(reason);
        let data = match (code, reason) {
            (0, "") => Bytes::new(),
            _ => in_data_frame(&Capsule::Close { code, reason: reason.to_owned() }),
        };
        self.write(session.0, data, true);
        if let Some(Stream::Request(request)) = self.streams.get_mut(&session.0) {
            request.closed_locally();
        }
        self.end_session(session, SessionEnd::ClosedLocally);
        Ok(())
    }

    /// Sends WT_DRAIN_SESSION, once (-16 §4.7). Drafts before -07 have none, and nothing is sent.
    pub fn drain_session(&mut self, session: SessionId) -> Result<(), SessionError> {
        let state = self.sessions.get_mut(&session).filter(|state| state.established);
        let state = state.ok_or(SessionError::Unknown)?;
        if state.draft.facts().has_drain && !std::mem::replace(&mut state.drained, true) {
            self.send_capsule(session, &Capsule::Drain);
        }
        Ok(())
    }

    /// Chooses the application code of the resets that answer the peer's STOP_SENDING from now on; `None` copies
    /// the peer's, as is the default. RFC 9000 §3.5 leaves the code to the application's protocol.
    pub fn answer_stops_with(&mut self, session: SessionId, code: Option<u32>) -> Result<(), SessionError> {
        self.sessions.get_mut(&session).ok_or(SessionError::Unknown)?.stop_answer = code;
        Ok(())
    }

    /// Context of the TLS exporter with label [`EXPORTER_LABEL`] (-16 §4.8): session ID as 64 bits, then the
    /// application's label and context, each with a length of 8 bits.
    pub fn exporter_context(
        &self,
        session: SessionId,
        label: &[u8],
        context: &[u8],
    ) -> Result<Vec<u8>, SessionError> {
        if !self.sessions.contains_key(&session) {
            return Err(SessionError::Unknown);
        }
        let too_long = |_| SessionError::Invalid("label and context have at most 255 bytes");
        let mut out = session.0.0.to_be_bytes().to_vec();
        for part in [label, context] {
            out.push(u8::try_from(part.len()).map_err(too_long)?);
            out.extend_from_slice(part);
        }
        Ok(out)
    }

    /// The draft of a session.
    pub fn session_draft(&self, session: SessionId) -> Option<Draft> {
        self.sessions.get(&session).map(|state| state.draft)
    }

    /// A capsule of the peer other than WT_CLOSE_SESSION. `false`: the session has ended for it.
    pub(super) fn capsule(&mut self, session: SessionId, capsule: Capsule) -> Result<bool, Fault> {
        let Some(state) = self.sessions.get_mut(&session) else { return Ok(true) };
        match capsule {
            Capsule::Drain => {
                // Repeating it has no effect
                self.events.push_back(Event::SessionDraining { session });
                self.ignore_element()?;
            }
            Capsule::Datagram(payload) => self.events.push_back(Event::Datagram { session, payload }),
            Capsule::Prohibited => {
                self.fail_session(session, Violation::CODE, "a limit for a single stream");
                return Ok(false);
            }
            Capsule::DataBlocked(limit) => {
                match state.flow.as_mut().and_then(|flow| flow.peer_blocked(limit)) {
                    Some(credit) => self.send_capsule(session, &credit),
                    None => self.ignore_element()?,
                }
            }
            capsule => {
                let relief = state.flow.as_mut().map_or(Ok(None), |flow| flow.capsule(&capsule));
                match relief {
                    Ok(Some(Relief::Data)) => self.events.push_back(Event::DataCredit { session }),
                    Ok(Some(Relief::Streams(dir))) => {
                        self.events.push_back(Event::StreamCredit { session, dir })
                    }
                    Ok(None) => self.ignore_element()?,
                    Err(Violation(reason)) => {
                        self.fail_session(session, Violation::CODE, reason);
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    pub(super) fn send_capsule(&mut self, session: SessionId, capsule: &Capsule) {
        if self.sessions.get(&session).is_some_and(|state| state.established) {
            // What the peer says of its limits next is an answer
            self.ignored = 0;
            self.write(session.0, in_data_frame(capsule), false);
        }
    }

    /// Resets and stops the CONNECT stream, for a rule that the peer broke (-16 §5.6, RFC 9297 §3.3).
    pub(super) fn fail_session(&mut self, session: SessionId, code: u64, reason: &'static str) {
        self.cut_connect_stream(session, code);
        self.end_session(session, SessionEnd::Violation { code, reason });
    }

    /// Ends both directions of a CONNECT stream at once.
    pub(super) fn cut_connect_stream(&mut self, session: SessionId, code: u64) {
        self.streams.remove(&session.0);
        self.reset(session.0, code);
        self.stop_request(session.0, code);
    }

    /// A client's request that came to nothing.
    pub(super) fn abandon(&mut self, session: SessionId, reason: Rejection) {
        self.cut_connect_stream(session, code::H3_REQUEST_CANCELLED);
        self.rejected(session, reason);
    }

    /// Forgets a session that was not established and tells the client's application.
    pub(super) fn rejected(&mut self, session: SessionId, reason: Rejection) {
        if let Some(state) = self.sessions.remove(&session) {
            self.drop_streams(session, &state, code::WT_BUFFERED_STREAM_REJECTED);
            self.events.push_back(Event::SessionRejected { session, reason });
        }
    }

    /// Forgets a session: its streams end, and the application is told.
    pub(super) fn end_session(&mut self, session: SessionId, end: SessionEnd) {
        if let Some(state) = self.sessions.remove(&session) {
            self.drop_streams(session, &state, gone_code(state.draft));
            self.events.push_back(Event::SessionClosed { session, end });
        }
    }

    /// Ends all streams of a session and remembers that it is over.
    pub(super) fn drop_streams(&mut self, session: SessionId, state: &Session, code: u64) {
        let mut streams: Vec<StreamId> = state.streams.iter().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.end_stream(stream, code);
        }
        self.reject_early(session, code);
        self.gone.remember(session, self.config.max_remembered_sessions);
    }

    /// The connection is over: no action is needed for any stream.
    pub(super) fn end_all(&mut self, end: &SessionEnd) {
        let mut sessions: Vec<(SessionId, Session)> = self.sessions.drain().collect();
        sessions.sort_unstable_by_key(|(session, _)| *session);
        self.data.clear();
        self.streams.clear();
        for (session, state) in sessions {
            self.events.push_back(if state.established || self.role == Role::Server {
                Event::SessionClosed { session, end: end.clone() }
            } else {
                Event::SessionRejected { session, reason: Rejection::ConnectionLost }
            });
        }
    }

    /// The 2xx was sent or received: what follows on the CONNECT stream are capsules, and what came before the
    /// session is given to it. `false`: the session has ended for that.
    pub(super) fn begin_tunnel(&mut self, session: SessionId, request: &mut RequestStream) -> bool {
        let Some(state) = self.sessions.get_mut(&session) else { return false };
        state.established = true;
        let known = state.known_capsules(self.config.max_datagram_capsule);
        request.phase = Phase::Tunnel;
        request.capsules = Some(capsule::CapsuleReader::new(known));
        self.release_early(session);
        self.sessions.contains_key(&session)
    }
}

/// A capsule in a DATA frame of its own.
fn in_data_frame(capsule: &Capsule) -> Bytes {
    let capsule = capsule.encode();
    let mut out = BytesMut::with_capacity(capsule.len() + 4);
    frame::encode(frame::DATA, &capsule, &mut out);
    out.freeze()
}
