//! The client's side of requests: asking for a session, and what the server answers (-16 §3.2, §3.3).

use bytes::Bytes;

use super::{
    Connection, Stream,
    control::NO_SHARED_DRAFT,
    request::{Phase, RequestStream, Step},
    server::CAPSULE_PROTOCOL,
};
use crate::{
    ConnectError, ConnectRequest, Draft, Event, Field, Pooling, Rejection, Role, SessionEnd, SessionId,
    SessionResponse, StreamId, UnofferedProtocol, code,
    fields::{self, ResponseHead},
    protocols, qpack,
};

/// Statuses that have no content and so no tunnel (RFC 9297 §3.2)
const WITHOUT_CONTENT: [u16; 3] = [204, 205, 206];

impl Connection {
    /// Whether a session could be requested now.
    pub fn check_connect(&self) -> Result<(), ConnectError> {
        self.connectable().map(|_| ())
    }

    fn connectable(&self) -> Result<Draft, ConnectError> {
        if self.closed || self.role == Role::Server {
            return Err(ConnectError::Closed);
        }
        let peer = self.peer.as_ref().ok_or(ConnectError::NotReady)?;
        let Some(draft) = self.draft else {
            let newest = peer.newest(&self.config.drafts);
            let reason = newest.and_then(|draft| self.missing(draft));
            return Err(ConnectError::Unsupported(reason.unwrap_or(NO_SHARED_DRAFT)));
        };
        if self.goaway_received.is_some() {
            return Err(ConnectError::GoingAway);
        }
        let announced = peer.announced(draft);
        let limit = match draft.facts().pooling {
            Pooling::Unlimited => u64::MAX,
            Pooling::Setting => announced,
            Pooling::SettingWithFlowControl if self.flow_control_in(draft) => announced,
            Pooling::FlowControl if self.flow_control_in(draft) => u64::MAX,
            Pooling::SettingWithFlowControl | Pooling::FlowControl => 1,
        };
        if self.sessions.len() as u64 >= limit.min(self.config.max_sessions) {
            return Err(ConnectError::TooManySessions);
        }
        Ok(draft)
    }

    /// Sends the request for a session on `stream`, a fresh bidirectional stream of ours.
    /// [`Self::check_connect`] says before whether that is possible at all.
    pub fn connect(&mut self, stream: StreamId, request: ConnectRequest) -> Result<SessionId, ConnectError> {
        let draft = self.connectable()?;
        let in_use = self.streams.contains_key(&stream) || self.data.contains_key(&stream);
        if in_use || self.gone.contains(SessionId(stream)) || !stream.is_request() {
            return Err(ConnectError::InvalidRequest("not a stream that can carry a request"));
        }
        let fields = request_fields(draft, &request)?;
        let max_size = self.peer.as_ref().map_or(u64::MAX, |peer| peer.max_field_section_size);
        if qpack::section_size(&fields) > max_size {
            return Err(ConnectError::TooLarge);
        }
        self.write_section(stream, &fields, false);
        let session = SessionId(stream);
        let state = self.new_session(draft, request.protocols, request.require_protocol);
        self.sessions.insert(session, state);
        self.streams.insert(stream, Stream::Request(RequestStream::response()));
        Ok(session)
    }

    /// A server's field section.
    pub(super) fn response_fields(
        &mut self,
        id: StreamId,
        request: &mut RequestStream,
        fields: Vec<Field>,
    ) -> Step {
        let session = SessionId(id);
        let head = match ResponseHead::parse(fields) {
            Ok(head) => head,
            Err(malformed) => return self.malformed_response(session, malformed.0),
        };
        match head.status {
            // Interim responses neither establish nor end anything
            100..200 => Step::Go,
            200..300 => self.session_response(session, request, head),
            status => {
                self.finish_sending(id, request);
                request.phase = Phase::Plain;
                self.rejected(session, Rejection::Status { status, headers: head.headers });
                Step::Go
            }
        }
    }

    fn session_response(
        &mut self,
        session: SessionId,
        request: &mut RequestStream,
        head: ResponseHead,
    ) -> Step {
        if WITHOUT_CONTENT.contains(&head.status) || fields::has_content_fields(&head.headers) {
            return self.malformed_response(session, "a session's response with content or without a tunnel");
        }
        let Some(state) = self.sessions.get(&session) else { return Step::Go };
        let (draft, require_protocol) = (state.draft, state.require_protocol);
        let chosen = protocols::chosen(&head.headers);
        let offered = chosen.clone().filter(|name| state.protocols.contains(name));
        // A field that answers no offer at all may be ignored; a choice outside the offer may not (-16 §3.3)
        let is_foreign = chosen.is_some() && offered.is_none() && !state.protocols.is_empty();
        let unacceptable = is_foreign && draft.facts().unoffered_protocol == UnofferedProtocol::CloseSession;
        if unacceptable || (require_protocol && offered.is_none()) {
            self.cut_connect_stream(session, code::WT_ALPN_ERROR);
            let reason = "no application protocol was agreed on";
            self.end_session(session, SessionEnd::Violation { code: code::WT_ALPN_ERROR, reason });
            return Step::Done;
        }
        let response =
            SessionResponse { draft, status: head.status, protocol: offered, headers: head.headers };
        self.events.push_back(Event::SessionEstablished { session, response: Box::new(response) });
        if !self.begin_tunnel(session, request) {
            return Step::Done;
        }
        if !request.send_open {
            // The server had already stopped our side
            self.end_session(session, SessionEnd::Reset(code::H3_NO_ERROR));
            request.phase = Phase::ClosedHere;
        }
        Step::Go
    }

    fn malformed_response(&mut self, session: SessionId, reason: &'static str) -> Step {
        self.cut_connect_stream(session, code::H3_MESSAGE_ERROR);
        self.rejected(session, Rejection::Malformed(reason));
        Step::Done
    }
}

/// The fields of a request for a session (-16 §3.2).
fn request_fields(draft: Draft, request: &ConnectRequest) -> Result<Vec<Field>, ConnectError> {
    let invalid = ConnectError::InvalidRequest;
    if request.authority.is_empty() || request.authority.contains('@') {
        return Err(invalid("an authority that is empty or has user information"));
    }
    if !request.path.starts_with('/') {
        return Err(invalid("a path that does not begin with a slash"));
    }
    if fields::has_content_fields(&request.headers) {
        return Err(invalid("a session has no content"));
    }
    let facts = draft.facts();
    let owned = |name: &'static str, value: &str| {
        (Bytes::from_static(name.as_bytes()), Bytes::from(value.to_owned()))
    };
    let mut all = vec![
        owned(":method", "CONNECT"),
        owned(":protocol", facts.token),
        owned(":scheme", "https"),
        owned(":authority", &request.authority),
        owned(":path", &request.path),
    ];
    let pseudo = all.len();
    all.extend(request.origin.as_deref().map(|origin| owned("origin", origin)));
    all.push(owned(CAPSULE_PROTOCOL.0, CAPSULE_PROTOCOL.1));
    all.extend(facts.request_mark.map(|(name, value)| owned(name, value)));
    if !request.protocols.is_empty() {
        let value = protocols::encode_available(&request.protocols).ok_or(invalid("not printable ASCII"))?;
        all.push((Bytes::from_static(protocols::AVAILABLE.as_bytes()), value));
    }
    all.extend_from_slice(&request.headers);
    let names = all.iter().skip(pseudo).all(|(name, _)| fields::is_name(name));
    if !names || all.iter().any(|(_, value)| !fields::is_value(value)) {
        return Err(invalid("a field that cannot be sent"));
    }
    Ok(all)
}
