//! HTTP datagrams (RFC 9297 §2, -16 §4.5).

use bytes::Bytes;

use super::{Connection, Fault, Stream};
use crate::{DatagramError, Event, Role, SessionId, StreamId, code, datagram as codec};

impl Connection {
    /// What precedes the payload of each datagram of the session: its Quarter Stream ID.
    pub fn datagram_header(&self, session: SessionId) -> Result<Bytes, DatagramError> {
        if !self.sessions.contains_key(&session) {
            return Err(DatagramError::Unknown);
        }
        let http = self.peer.as_ref().is_some_and(|peer| peer.h3_datagram || peer.h3_datagram_draft);
        if !http || !self.facts.is_some_and(|facts| facts.peer_datagrams) {
            return Err(DatagramError::Unsupported);
        }
        Ok(codec::header(session))
    }

    pub(super) fn datagram(&mut self, mut payload: Bytes) -> Result<(), Fault> {
        let (session, length) =
            codec::decode(&payload).map_err(|malformed| Fault(code::H3_DATAGRAM_ERROR, malformed.0))?;
        let _ = payload.split_to(length);
        match self.sessions.get(&session) {
            Some(state) if state.is_established() => {
                self.events.push_back(Event::Datagram { session, payload })
            }
            // Late, or of a session that a client cannot have: dropped (RFC 9297 §2.1)
            None if self.gone.contains(session) || self.role == Role::Client => {
                self.datagram_of_request(session.0)
            }
            _ => self.early.hold_datagram(session, payload, self.config.max_buffered_datagrams),
        }
        Ok(())
    }

    /// A request without datagrams is aborted if it gets one (RFC 9297 §2). Ended sessions are none of these.
    fn datagram_of_request(&mut self, id: StreamId) {
        let is_plain = matches!(self.streams.get(&id), Some(Stream::Request(request)) if request.is_plain());
        if is_plain && self.role == Role::Server {
            self.streams.remove(&id);
            self.stop_request(id, code::H3_DATAGRAM_ERROR);
        }
    }
}
