//! The peer's control stream: SETTINGS, GOAWAY, pushes and priorities (RFC 9114 §6.2.1, §7.2; RFC 9218 §7).

use bytes::{Bytes, BytesMut};

use super::{Connection, Fault};
use crate::{
    Draft, Event, Rejection, Role, SessionId, StreamId, code,
    frame::{self, Place, Verdict},
    settings::Settings,
    tlv::{Piece, Reader},
    varint,
};

/// Longest PRIORITY_UPDATE that is looked into; the field value of longer ones is skipped unseen
const MAX_PRIORITY_UPDATE: u64 = 256;

/// The reason of [`Event::Unsupported`] where no WebTransport setting matches
pub(super) const NO_SHARED_DRAFT: &str = "the server offers no draft that is spoken here";

/// How far the peer's control stream is read.
#[derive(Debug)]
pub(super) struct ControlStream {
    reader: Reader,
    kind: u64,
    /// Payload so far, if it is kept
    payload: Option<BytesMut>,
}

impl ControlStream {
    pub(super) fn new() -> Self {
        Self { reader: Reader::new(Some(frame::WT_STREAM)), kind: 0, payload: None }
    }
}

impl Connection {
    pub(super) fn control_data(&mut self, stream: &mut ControlStream, data: &mut Bytes) -> Result<(), Fault> {
        while let Some(piece) = stream.reader.next(data) {
            match piece {
                Piece::Start { kind, length } => {
                    stream.kind = kind;
                    stream.payload = self.control_frame(kind, length)?.then(BytesMut::new);
                }
                Piece::Value(bytes) => {
                    if let Some(payload) = &mut stream.payload {
                        payload.extend_from_slice(&bytes);
                    }
                }
                Piece::End => {
                    if let Some(payload) = stream.payload.take() {
                        self.ignored = 0;
                        self.control_payload(stream.kind, &payload)?;
                    }
                }
                Piece::Signal => return Err(self.misplaced_signal()),
            }
        }
        Ok(())
    }

    /// The frame has begun. `true`: its payload is wanted.
    fn control_frame(&mut self, kind: u64, length: u64) -> Result<bool, Fault> {
        match (&self.peer, kind) {
            (None, frame::SETTINGS) if length > self.config.max_settings_size => {
                return Err(Fault(code::H3_EXCESSIVE_LOAD, "SETTINGS is too large"));
            }
            (None, frame::SETTINGS) => return Ok(true),
            (None, _) => return Err(Fault(code::H3_MISSING_SETTINGS, "the first frame is not SETTINGS")),
            (Some(_), frame::SETTINGS) => return Err(Fault(code::H3_FRAME_UNEXPECTED, "SETTINGS twice")),
            _ => {}
        }
        match frame::judge(kind, Place::Control, self.peer_role()) {
            Verdict::Error(code) => Err(Fault(code, "a frame that the control stream does not have")),
            Verdict::Skip => self.ignore_element().map(|()| false),
            Verdict::Process => match kind {
                frame::PRIORITY_UPDATE_REQUEST | frame::PRIORITY_UPDATE_PUSH => {
                    self.ignore_element()?;
                    Ok(length <= MAX_PRIORITY_UPDATE)
                }
                // The payload of the others is one integer
                _ if (1..=8).contains(&length) => Ok(true),
                _ => Err(Fault(code::H3_FRAME_ERROR, "the payload is not one integer")),
            },
        }
    }

    fn control_payload(&mut self, kind: u64, payload: &[u8]) -> Result<(), Fault> {
        if kind == frame::SETTINGS {
            return self.settings_received(payload);
        }
        if matches!(kind, frame::PRIORITY_UPDATE_REQUEST | frame::PRIORITY_UPDATE_PUSH) {
            return priority_update(kind, payload);
        }
        let Some(id) = varint::decode_exact(payload) else {
            return Err(Fault(code::H3_FRAME_ERROR, "the payload is not one integer"));
        };
        match kind {
            frame::GOAWAY => self.goaway_frame(id),
            frame::MAX_PUSH_ID if self.max_push_id.is_some_and(|before| id < before) => {
                Err(Fault(code::H3_ID_ERROR, "MAX_PUSH_ID is lowered"))
            }
            frame::MAX_PUSH_ID => {
                self.max_push_id = Some(id);
                Ok(())
            }
            // Nothing was ever pushed or allowed to be pushed (RFC 9114 §7.2.3)
            _ => Err(Fault(code::H3_ID_ERROR, "CANCEL_PUSH of a push that does not exist")),
        }
    }

    fn goaway_frame(&mut self, id: u64) -> Result<(), Fault> {
        if self.role == Role::Client && !StreamId(id).is_request() {
            return Err(Fault(code::H3_ID_ERROR, "GOAWAY names a stream that carries no request"));
        }
        if self.goaway_received.is_some_and(|before| id > before) {
            return Err(Fault(code::H3_ID_ERROR, "the ID of GOAWAY is raised"));
        }
        if self.goaway_received.replace(id).is_none() {
            self.events.push_back(Event::GoingAway);
            // -16 §4.7: also a signal to finish all sessions
            let sessions = self.sessions.iter().filter(|(_, session)| session.is_established());
            self.events.extend(sessions.map(|(session, _)| Event::SessionDraining { session: *session }));
        }
        if self.role == Role::Client {
            let unprocessed: Vec<SessionId> = self
                .sessions
                .iter()
                .filter(|(session, state)| session.0.0 >= id && !state.is_established())
                .map(|(session, _)| *session)
                .collect();
            for session in unprocessed {
                self.abandon(session, Rejection::GoingAway);
            }
        }
        Ok(())
    }

    fn settings_received(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let peer = Settings::decode(payload, self.role, &self.config.drafts)
            .map_err(|(code, why)| Fault(code, why))?;
        let resumed = self.facts.is_some_and(|facts| facts.early_data_accepted);
        if let (true, Some(before)) = (resumed, &self.config.remembered) {
            if peer.reduces(before) {
                return Err(Fault(
                    code::H3_SETTINGS_ERROR,
                    "a setting is below the one that 0-RTT was based on",
                ));
            }
            if peer.changes_table(before) {
                return Err(Fault(code::QPACK_DECODER_STREAM_ERROR, "another table capacity than for 0-RTT"));
            }
        }
        self.compression.allow(&self.config, &peer);
        let settings = self.peer.insert(peer);
        let shared: Vec<Draft> =
            self.config.drafts.iter().copied().filter(|draft| settings.newest(&[*draft]).is_some()).collect();
        // A server finds out at each request what its client lacks: the draft is the client's choice
        let usable = |draft: &Draft| self.role == Role::Server || self.missing(*draft).is_none();
        self.draft = shared.iter().copied().filter(usable).max();
        if let Some(draft) = self.draft {
            self.events.push_back(Event::Ready { draft });
        } else if self.role == Role::Client {
            let reason = shared.iter().max().and_then(|newest| self.missing(*newest));
            self.events.push_back(Event::Unsupported { reason: reason.unwrap_or(NO_SHARED_DRAFT) });
        }
        self.settle_requests();
        Ok(())
    }

    /// What the peer's SETTINGS and transport parameters lack for a draft.
    pub(super) fn missing(&self, draft: Draft) -> Option<&'static str> {
        let (Some(peer), Some(transport), facts) = (&self.peer, &self.facts, draft.facts()) else {
            return Some("SETTINGS have not arrived");
        };
        let requirements = [
            (
                facts.requires_connect_protocol && self.role == Role::Client,
                peer.connect_protocol,
                "the peer does not announce extended CONNECT",
            ),
            (facts.requires_datagrams, peer.h3_datagram, "the peer does not announce HTTP datagrams"),
            (facts.requires_datagrams, transport.peer_datagrams, "the peer does not accept QUIC datagrams"),
            (
                facts.requires_reset_stream_at,
                transport.peer_reset_stream_at,
                "the peer does not support RESET_STREAM_AT",
            ),
        ];
        requirements.into_iter().find(|(required, there, _)| *required && !there).map(|(_, _, what)| what)
    }

    /// 0x41 where it is no signal: on a control stream before SETTINGS two rules meet, either will do.
    pub(super) fn misplaced_signal(&self) -> Fault {
        Fault(code::H3_FRAME_ERROR, "0x41 is not at the start of a stream")
    }
}

/// RFC 9218 §7.2: the identifiers are checked, the priority itself is not used.
fn priority_update(kind: u64, payload: &[u8]) -> Result<(), Fault> {
    match varint::decode(payload) {
        None => Err(Fault(code::H3_FRAME_ERROR, "PRIORITY_UPDATE without an ID")),
        Some((id, _)) if kind == frame::PRIORITY_UPDATE_REQUEST && StreamId(id).is_request() => Ok(()),
        Some(_) => Err(Fault(code::H3_ID_ERROR, "PRIORITY_UPDATE names neither a request nor a push")),
    }
}
