//! The server's side of requests: which become sessions, and the answers (RFC 9114 §4.1, -16 §3).

use bytes::Bytes;

use super::{
    Connection, Fault, Stream,
    request::{Phase, RequestStream, Step},
};
use crate::{
    AcceptOptions, Draft, Event, Field, Pooling, Role, SessionEnd, SessionError, SessionId, SessionRequest,
    StreamId, code,
    fields::{self, RequestHead},
    protocols, qpack,
};

/// The field that says that capsules are used (RFC 9297 §3.4)
pub(super) const CAPSULE_PROTOCOL: (&str, &str) = ("capsule-protocol", "?1");

impl Connection {
    /// Accepts a session with 200. Streams and datagrams that were kept for it follow as events.
    pub fn accept(&mut self, session: SessionId, options: AcceptOptions) -> Result<(), SessionError> {
        let state =
            self.sessions.get(&session).filter(|state| !state.established && self.role == Role::Server);
        let state = state.ok_or(SessionError::Unknown)?;
        if fields::has_content_fields(&options.headers) {
            return Err(SessionError::Invalid("a session has no content"));
        }
        let mut headers = options.headers;
        let added = headers.len();
        if let Some(name) = &options.protocol {
            if !state.protocols.contains(name) {
                return Err(SessionError::Invalid("the client did not offer this protocol"));
            }
            let value = protocols::encode_chosen(name).ok_or(SessionError::Invalid("not printable ASCII"))?;
            headers.push((Bytes::from_static(protocols::CHOSEN.as_bytes()), value));
        }
        let marks = [Some(CAPSULE_PROTOCOL), state.draft.facts().response_mark];
        headers.extend(marks.into_iter().flatten().map(|(name, value)| (name.into(), value.into())));
        let response = response_fields(200, &headers)?;
        self.check_size(&response, added)?;
        let Some(Stream::Request(mut request)) = self.streams.remove(&session.0) else {
            return Err(SessionError::Unknown);
        };
        self.write_section(session.0, &response, false);
        if self.begin_tunnel(session, &mut request) {
            self.process_early(session, request);
        }
        Ok(())
    }

    /// Refuses a session with a status from 300 to 599; [`Event::SessionClosed`] follows. A 405 gets an Allow field if it has none (RFC 9110
    /// §15.5.6).
    pub fn reject(&mut self, session: SessionId, status: u16, headers: &[Field]) -> Result<(), SessionError> {
        let waits = self.sessions.get(&session).is_some_and(|state| !state.established);
        if !waits || self.role == Role::Client {
            return Err(SessionError::Unknown);
        }
        if !(300..600).contains(&status) {
            return Err(SessionError::Invalid("a refusal has a status from 300 to 599"));
        }
        self.check_size(&response_fields(status, headers)?, headers.len())?;
        if let Some(Stream::Request(mut request)) = self.streams.remove(&session.0) {
            self.respond(session.0, &mut request, status, headers);
            if !request.early_fin {
                self.streams.insert(session.0, Stream::Request(request));
            }
        }
        self.end_session(session, SessionEnd::ClosedLocally);
        Ok(())
    }

    /// A client's field section.
    pub(super) fn request_fields(
        &mut self,
        id: StreamId,
        request: &mut RequestStream,
        fields: Vec<Field>,
    ) -> Step {
        let session = SessionId(id);
        self.asked = true;
        if self.goaway_sent.is_some_and(|limit| id.0 >= limit) {
            return self.refuse_request(session, code::H3_REQUEST_REJECTED);
        }
        let head = match RequestHead::parse(fields) {
            Ok(head) => head,
            Err(_) => return self.refuse_request(session, code::H3_MESSAGE_ERROR),
        };
        let token = head.protocol.as_deref();
        let is_session = self.config.drafts.iter().any(|draft| token == Some(draft.facts().token));
        match (head.method.as_str(), is_session) {
            ("CONNECT", true) => {}
            // RFC 9220 §3: a protocol that is not supported
            ("CONNECT", false) => {
                self.respond(id, request, 501, &[]);
                return Step::Go;
            }
            _ => {
                self.respond(id, request, 404, &[]);
                return Step::Go;
            }
        }
        // -16 §3.2, RFC 9297 §3.2
        if head.scheme.as_deref() != Some("https") || fields::has_content_fields(&head.headers) {
            return self.refuse_request(session, code::H3_MESSAGE_ERROR);
        }
        request.phase = Phase::Asked;
        request.wants_session = true;
        if self.peer.is_some() {
            return self.offer(id, request, head);
        }
        // -16 §3.1: not processed before SETTINGS
        if self.awaiting.len() as u64 >= self.config.max_sessions {
            return self.refuse_request(session, code::H3_REQUEST_REJECTED);
        }
        self.awaiting.push((id, head));
        Step::Go
    }

    /// SETTINGS are in: requests that waited for them are processed.
    pub(super) fn settle_requests(&mut self) {
        let mut awaiting = std::mem::take(&mut self.awaiting);
        awaiting.sort_by_key(|(id, _)| *id);
        for (id, head) in awaiting {
            let Some(Stream::Request(mut request)) = self.streams.remove(&id) else { continue };
            if self.offer(id, &mut request, head) == Step::Go {
                self.streams.insert(id, Stream::Request(request));
            }
        }
    }

    /// Hands a request for a session to the application, if the connection allows it.
    fn offer(&mut self, id: StreamId, request: &mut RequestStream, head: RequestHead) -> Step {
        let session = SessionId(id);
        let Some(draft) = self.draft_of(&head) else {
            self.respond(id, request, 501, &[]);
            return if request.early_fin { Step::Done } else { Step::Go };
        };
        // -16 §3.1: sessions of a peer that lacks a requirement are malformed
        if self.missing(draft).is_some() {
            return self.refuse_request(session, code::H3_MESSAGE_ERROR);
        }
        if self.sessions.len() as u64 >= self.session_limit(draft) {
            return self.refuse_request(session, code::H3_REQUEST_REJECTED);
        }
        let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
        let offered = protocols::available(&head.headers);
        self.sessions.insert(session, self.new_session(draft, offered.clone(), false));
        self.ignored = 0;
        let request = SessionRequest {
            draft,
            authority: head.authority.unwrap_or_default(),
            path: head.path.unwrap_or_default(),
            origin: fields::value(&head.headers, "origin").map(text),
            protocols: offered,
            headers: head.headers,
        };
        self.events.push_back(Event::SessionRequest { session, request: Box::new(request) });
        Step::Go
    }

    /// The draft of a request: the newest that the client offered with this token. A client that offered none is
    /// taken at its token and its marks, as no draft's final form has clients offer anything.
    fn draft_of(&self, head: &RequestHead) -> Option<Draft> {
        let peer = self.peer.as_ref()?;
        let has_token = |draft: &Draft| head.protocol.as_deref() == Some(draft.facts().token);
        let spoken: Vec<Draft> = self.config.drafts.iter().copied().filter(has_token).collect();
        if self.draft.is_some() {
            return peer.newest(&spoken);
        }
        let mark = Draft::D02.facts().request_mark;
        let is_marked = mark.is_some_and(|(name, _)| fields::value(&head.headers, name).is_some());
        let fitting = |draft: &Draft| self.missing(*draft).is_none() && (!is_marked || *draft == Draft::D02);
        spoken.iter().copied().filter(fitting).max().or(spoken.first().copied())
    }

    fn session_limit(&self, draft: Draft) -> u64 {
        match draft.facts().pooling {
            Pooling::Unlimited | Pooling::Setting => self.config.max_sessions,
            Pooling::SettingWithFlowControl | Pooling::FlowControl => {
                if self.flow_control_in(draft) {
                    self.config.max_sessions
                } else {
                    self.config.max_sessions.min(1)
                }
            }
        }
    }

    /// Ends a request that is not answered.
    fn refuse_request(&mut self, session: SessionId, code: u64) -> Step {
        self.cut_connect_stream(session, code);
        self.forget_request(session);
        Step::Done
    }

    /// A final response without content.
    pub(super) fn respond(
        &mut self,
        id: StreamId,
        request: &mut RequestStream,
        status: u16,
        headers: &[Field],
    ) {
        request.phase = Phase::Plain;
        let mut headers = headers.to_vec();
        if status == 405 && fields::value(&headers, "allow").is_none() {
            headers.push((Bytes::from_static(b"allow"), Bytes::new()));
        }
        if let Ok(response) = response_fields(status, &headers)
            && std::mem::replace(&mut request.send_open, false)
        {
            self.write_section(id, &response, true);
        }
        request.early.clear();
        self.forget_request(SessionId(id));
    }

    /// Tunnel bytes that came before the answer are processed now (-16 §3.2).
    fn process_early(&mut self, session: SessionId, mut request: RequestStream) {
        let early = std::mem::take(&mut request.early).freeze();
        match self.tunnel_data(session, &mut request, early) {
            Ok(Step::Done | Step::Wait(_)) => {}
            Ok(Step::Go) if request.early_fin => self.request_fin(session.0, request),
            Ok(Step::Go) => {
                self.streams.insert(session.0, Stream::Request(request));
            }
            Err(Fault(code, reason)) => self.close(code, reason),
        }
    }

    /// Fields of the application do not make a response larger than the client accepts (RFC 9114 §4.2.2).
    fn check_size(&self, response: &[Field], added: usize) -> Result<(), SessionError> {
        let max_size = self.peer.as_ref().map_or(u64::MAX, |peer| peer.max_field_section_size);
        match added > 0 && qpack::section_size(response) > max_size {
            true => Err(SessionError::Invalid("the response is larger than the client accepts")),
            false => Ok(()),
        }
    }
}

/// The fields of a response.
fn response_fields(status: u16, headers: &[Field]) -> Result<Vec<Field>, SessionError> {
    let mut all = vec![(Bytes::from_static(b":status"), Bytes::from(status.to_string()))];
    if headers.iter().any(|(name, value)| !fields::is_name(name) || !fields::is_value(value)) {
        return Err(SessionError::Invalid("a field that cannot be sent"));
    }
    all.extend_from_slice(headers);
    Ok(all)
}
