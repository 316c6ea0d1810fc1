//! Streams of sessions: opening, accounts and ends (-16 §4.2 to §4.4, §5).

use bytes::{Bytes, BytesMut};

use super::{Connection, incoming::WT_UNI_STREAM};
use crate::{
    Action, Dir, Event, OpenError, SessionError, SessionId, StreamId, code, flow::Violation, frame, varint,
};

/// The receiving side of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recv {
    Open,
    /// Stopped by us. Its final size is still awaited where flow control is in force: both sides have to
    /// agree on the credit that the stream used (-16 §5.4).
    Stopped,
    Closed,
}

/// A stream of a session.
#[derive(Debug)]
pub(super) struct DataStream {
    pub(super) session: SessionId,
    /// Length of the header, in the direction of the side that opened the stream
    pub(super) header: u64,
    /// Whether we opened it
    pub(super) local: bool,
    pub(super) send_open: bool,
    pub(super) recv: Recv,
    /// Body bytes that were counted as received
    pub(super) received: u64,
    /// Body bytes of these that the application took
    pub(super) consumed: u64,
}

impl Connection {
    /// Whether the session may open another stream. With [`OpenError::Blocked`] the peer is told
    /// (WT_STREAMS_BLOCKED, -16 §5.6.3).
    pub fn check_open(&mut self, session: SessionId, dir: Dir) -> Result<(), OpenError> {
        let state = self.sessions.get_mut(&session).ok_or(OpenError::Unknown)?;
        let Some(flow) = state.flow.as_mut().filter(|flow| !flow.can_open(dir)) else {
            return Ok(());
        };
        let told = flow.block_streams(dir);
        if let Some(capsule) = told {
            self.send_capsule(session, &capsule);
        }
        Err(OpenError::Blocked)
    }

    /// How many streams the session may open, as far as its own flow control goes.
    pub fn open_credit(&self, session: SessionId, dir: Dir) -> u64 {
        match self.sessions.get(&session).filter(|state| state.is_established()) {
            Some(state) => state.flow.as_ref().map_or(u64::MAX, |flow| flow.open_credit(dir)),
            None => 0,
        }
    }

    /// Makes `stream`, a fresh stream of ours, a stream of the session. The result is the header that the
    /// driver writes first.
    pub fn bind_stream(&mut self, session: SessionId, stream: StreamId) -> Result<Bytes, OpenError> {
        let dir = stream.dir();
        let in_use = self.data.contains_key(&stream) || self.streams.contains_key(&stream);
        if in_use || stream.initiator() != self.role || self.owns_critical(stream) {
            return Err(OpenError::BadStream);
        }
        self.check_open(session, dir)?;
        let state = self.sessions.get_mut(&session).ok_or(OpenError::Unknown)?;
        if let Some(flow) = &mut state.flow {
            flow.opened(dir);
        }
        state.streams.insert(stream);
        let mut header = BytesMut::with_capacity(10);
        varint::encode(if dir == Dir::Uni { WT_UNI_STREAM } else { frame::WT_STREAM }, &mut header);
        varint::encode(session.0.0, &mut header);
        self.data.insert(
            stream,
            DataStream {
                session,
                header: header.len() as u64,
                local: true,
                send_open: true,
                recv: if dir == Dir::Bidi { Recv::Open } else { Recv::Closed },
                received: 0,
                consumed: 0,
            },
        );
        Ok(header.freeze())
    }

    /// The session of a stream, while the stream is not done with.
    pub fn session_of(&self, stream: StreamId) -> Option<SessionId> {
        self.data.get(&stream).map(|data| data.session)
    }

    /// Body bytes that may be sent on the stream now; `u64::MAX` without flow control, 0 for a stream that is
    /// no more.
    pub fn send_credit(&self, stream: StreamId) -> u64 {
        let state = self.data.get(&stream).and_then(|data| self.sessions.get(&data.session));
        state.map_or(0, |state| state.flow.as_ref().map_or(u64::MAX, |flow| flow.send_credit()))
    }

    /// `bytes` of body were handed to QUIC; never more than [`Self::send_credit`] said.
    pub fn body_sent(&mut self, stream: StreamId, bytes: u64) {
        let session = self.data.get(&stream).and_then(|data| self.sessions.get_mut(&data.session));
        if let Some(flow) = session.and_then(|state| state.flow.as_mut()) {
            flow.sent(bytes);
        }
    }

    /// The stream has bytes to send but no credit: tells the peer once for each limit (WT_DATA_BLOCKED, -16
    /// §5.6.5). [`Event::DataCredit`] follows when there is more.
    pub fn blocked(&mut self, stream: StreamId) {
        let Some(session) = self.session_of(stream) else { return };
        let flow = self.sessions.get_mut(&session).and_then(|state| state.flow.as_mut());
        if let Some(capsule) = flow.and_then(|flow| flow.block_data()) {
            self.send_capsule(session, &capsule);
        }
    }

    /// `bytes` of body were read from QUIC. `false`: they are beyond the limit and the session is closed.
    #[must_use]
    pub fn body_received(&mut self, stream: StreamId, bytes: u64) -> bool {
        let Some(data) = self.data.get_mut(&stream) else { return false };
        data.received = data.received.saturating_add(bytes);
        let session = data.session;
        let flow = self.sessions.get_mut(&session).and_then(|state| state.flow.as_mut());
        match flow.map_or(Ok(()), |flow| flow.received(bytes)) {
            Ok(()) => true,
            Err(Violation(reason)) => {
                self.fail_session(session, Violation::CODE, reason);
                false
            }
        }
    }

    /// The application took `bytes` of body: credit for the peer (WT_MAX_DATA). What it has not taken of a
    /// stream that is done with counts as taken.
    pub fn body_consumed(&mut self, stream: StreamId, bytes: u64) {
        let Some(data) = self.data.get_mut(&stream) else { return };
        let bytes = bytes.min(data.received.saturating_sub(data.consumed));
        data.consumed += bytes;
        let session = data.session;
        self.session_consumed(session, bytes);
    }

    fn session_consumed(&mut self, session: SessionId, bytes: u64) {
        let flow = self.sessions.get_mut(&session).and_then(|state| state.flow.as_mut());
        if let Some(capsule) = flow.and_then(|flow| flow.consumed(bytes)) {
            self.send_capsule(session, &capsule);
        }
    }

    /// The sending side is done: FIN was handed to QUIC. Resets are known to the core.
    pub fn send_closed(&mut self, stream: StreamId) {
        if let Some(data) = self.data.get_mut(&stream) {
            data.send_open = false;
            self.forget_finished(stream);
        }
    }

    /// The receiving side is done: FIN was read. Resets and stops are known to the core.
    pub fn recv_closed(&mut self, stream: StreamId) {
        if let Some(data) = self.data.get_mut(&stream) {
            data.recv = Recv::Closed;
            self.forget_finished(stream);
        }
    }

    /// Resets the sending side with an application's code: with RESET_STREAM_AT that covers the header where
    /// both sides know it (-16 §4.4).
    pub fn reset_stream(&mut self, stream: StreamId, code: u32) -> Result<(), SessionError> {
        self.reset_stream_at(stream, code, 0)
    }

    /// The same, and the first `reliable` bytes of body are delivered nevertheless (overview §4.3). At most
    /// what was handed to QUIC; without RESET_STREAM_AT nothing is reliable.
    pub fn reset_stream_at(
        &mut self,
        stream: StreamId,
        code: u32,
        reliable: u64,
    ) -> Result<(), SessionError> {
        let data = self.data.get(&stream).filter(|data| data.send_open).ok_or(SessionError::Unknown)?;
        let draft = self.sessions.get(&data.session).ok_or(SessionError::Unknown)?.draft;
        self.abort_sending(stream, code::from_application(draft, code), reliable);
        self.forget_finished(stream);
        Ok(())
    }

    /// Asks the peer to stop sending, with an application's code. Nothing more is read; see
    /// [`Config::reports_final_sizes`](crate::Config::reports_final_sizes).
    pub fn stop_stream(&mut self, stream: StreamId, code: u32) -> Result<(), SessionError> {
        let data =
            self.data.get_mut(&stream).filter(|data| data.recv == Recv::Open).ok_or(SessionError::Unknown)?;
        let state = self.sessions.get_mut(&data.session).ok_or(SessionError::Unknown)?;
        data.recv = match &mut state.flow {
            Some(_) if self.config.reports_final_sizes => Recv::Stopped,
            Some(flow) => {
                flow.lost_count();
                Recv::Closed
            }
            None => Recv::Closed,
        };
        let draft = state.draft;
        self.stop(stream, code::from_application(draft, code));
        self.forget_finished(stream);
        Ok(())
    }

    /// Resets the sending side with a wire code.
    fn abort_sending(&mut self, stream: StreamId, code: u64, reliable: u64) {
        let reliable_resets = self.facts.is_some_and(|facts| facts.peer_reset_stream_at);
        let Some(data) = self.data.get_mut(&stream) else { return };
        data.send_open = false;
        let header = if data.local { data.header } else { 0 };
        let reliable_size = header + reliable;
        self.actions.push_back(match reliable_resets && reliable_size > 0 {
            true => Action::ResetAt { stream, code, reliable_size },
            false => Action::Reset { stream, code },
        });
    }

    /// The peer's reset: what it never sent counts as received, up to the final size (-16 §5.4).
    pub(super) fn data_reset(&mut self, id: StreamId, code: u64, final_size: Option<u64>) {
        let Some(data) = self.data.get_mut(&id).filter(|data| data.recv != Recv::Closed) else { return };
        let was_open = std::mem::replace(&mut data.recv, Recv::Closed) == Recv::Open;
        let session = data.session;
        let header = if data.local { 0 } else { data.header };
        let unseen = final_size.map_or(0, |size| size.saturating_sub(header).saturating_sub(data.received));
        if final_size.is_none() {
            self.lose_count(session);
        }
        if !self.body_received(id, unseen) {
            return;
        }
        // Nobody will take what was never sent
        self.body_consumed(id, unseen);
        if was_open {
            self.events.push_back(Event::StreamReset {
                session,
                stream: id,
                code: code::to_application(code),
            });
        }
        self.forget_finished(id);
    }

    fn lose_count(&mut self, session: SessionId) {
        if let Some(flow) = self.sessions.get_mut(&session).and_then(|state| state.flow.as_mut()) {
            flow.lost_count();
        }
    }

    /// The peer's STOP_SENDING is answered with a plain reset: the peer wants nothing of the stream any more
    /// (RFC 9000 §3.5, RESET_STREAM_AT §5.4). The code is the peer's unless the application chose one.
    pub(super) fn data_stopped(&mut self, id: StreamId, code: u64) {
        let Some(data) = self.data.get_mut(&id).filter(|data| data.send_open) else { return };
        data.send_open = false;
        let session = data.session;
        let chosen = self.sessions.get(&session).and_then(|state| Some((state.draft, state.stop_answer?)));
        self.reset(id, chosen.map_or(code, |(draft, answer)| code::from_application(draft, answer)));
        self.events.push_back(Event::StreamStopped { session, stream: id, code: code::to_application(code) });
        self.forget_finished(id);
    }

    /// Forgets a stream both of whose sides are done; one of the peer's makes room for another.
    pub(super) fn forget_finished(&mut self, id: StreamId) {
        if self.data.get(&id).is_none_or(|data| data.send_open || data.recv != Recv::Closed) {
            return;
        }
        let Some(data) = self.data.remove(&id) else { return };
        let Some(state) = self.sessions.get_mut(&data.session) else { return };
        state.streams.remove(&id);
        self.session_consumed(data.session, data.received.saturating_sub(data.consumed));
        let Some(state) = self.sessions.get_mut(&data.session) else { return };
        let flow = state.flow.as_mut().filter(|_| !data.local);
        if let Some(capsule) = flow.and_then(|flow| flow.released(id.dir())) {
            self.send_capsule(data.session, &capsule);
        }
    }

    /// Ends both sides of a stream because its session is over (-16 §6).
    pub(super) fn end_stream(&mut self, id: StreamId, code: u64) {
        let Some(data) = self.data.get(&id) else { return };
        if data.recv == Recv::Open {
            self.stop(id, code);
        }
        if self.data.get(&id).is_some_and(|data| data.send_open) {
            self.abort_sending(id, code, 0);
        }
        self.data.remove(&id);
    }
}
