//! The application's side of connections, sessions and streams.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use wt_channel::{ConnectionFlow, SendFlow, SessionFlow};

use crate::message::{End, Event, Handle, Message};

/// What reading gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// The next bytes, in pieces
    Data(Vec<Bytes>),
    /// The end of the stream
    Fin,
    /// Nothing yet; the event `Readable` follows
    Nothing,
}

/// Why reading or writing is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// Reset by the peer or the end of the session, with the application's code if there is one
    Reset(Option<u32>),
}

/// Where the sending direction stands.
#[derive(Debug)]
pub(crate) enum Sending {
    Open(Arc<SendFlow>),
    /// By the peer (with the application's code if there is one), by the end of the session, or here
    Ended(Option<u32>),
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) connection: Handle,
    pub(crate) sending: Sending,
    /// Kept for those who watch
    pub(crate) flow: Option<Arc<SendFlow>>,
    pub(crate) receiving: bool,
    /// Opened by the peer, and counted
    given: bool,
    chunks: VecDeque<Bytes>,
    pub(crate) buffered: usize,
    end: Option<End>,
    /// `Readable` was asked for
    waiting: bool,
    /// Bytes read and not reported
    unreported: usize,
}

impl Stream {
    pub(crate) fn new(connection: Handle, flow: Option<Arc<SendFlow>>, receiving: bool) -> Self {
        let sending = flow.clone().map_or(Sending::Ended(None), Sending::Open);
        Self {
            connection,
            sending,
            flow,
            receiving,
            given: false,
            chunks: VecDeque::new(),
            buffered: 0,
            end: None,
            waiting: true,
            unreported: 0,
        }
    }

    /// Takes up to `limit` bytes.
    pub(crate) fn read(&mut self, limit: usize) -> Result<Read, ReadError> {
        if self.buffered == 0 {
            return match self.end {
                Some(End::Reset(code)) => {
                    self.receiving = false;
                    Err(ReadError::Reset(code))
                }
                Some(End::Fin) => {
                    self.receiving = false;
                    Ok(Read::Fin)
                }
                None if self.receiving => {
                    self.waiting = true;
                    Ok(Read::Nothing)
                }
                None => Ok(Read::Fin),
            };
        }
        if limit >= self.buffered {
            self.unreported += mem::take(&mut self.buffered);
            return Ok(Read::Data(mem::take(&mut self.chunks).into()));
        }
        let (mut taken, mut left) = (Vec::new(), limit);
        while left > 0 {
            let Some(front) = self.chunks.front_mut() else { break };
            if front.len() <= left {
                left -= front.len();
                taken.extend(self.chunks.pop_front());
            } else {
                taken.push(front.split_to(left));
                left = 0;
            }
        }
        self.buffered -= limit - left;
        self.unreported += limit - left;
        Ok(Read::Data(taken))
    }

    /// Bytes to report as consumed: enough of them, or the last.
    pub(crate) fn report(&mut self, threshold: usize) -> Option<usize> {
        let last = self.buffered == 0 && self.end.is_some();
        (self.unreported > 0 && (last || self.unreported >= threshold))
            .then(|| mem::take(&mut self.unreported))
    }

    /// Drops what is buffered and takes no more.
    pub(crate) fn stop(&mut self) {
        self.receiving = false;
        self.chunks.clear();
        self.buffered = 0;
        self.end = None;
    }

    pub(crate) fn is_done(&self) -> bool {
        !self.receiving && self.buffered == 0 && matches!(self.sending, Sending::Ended(_))
    }

    /// `true`: the application has to be told.
    fn receive(&mut self, chunks: Vec<Bytes>, end: Option<End>) -> bool {
        if !self.receiving {
            return false;
        }
        self.buffered += chunks.iter().map(Bytes::len).sum::<usize>();
        if self.chunks.is_empty() {
            self.chunks = chunks.into();
        } else {
            self.chunks.extend(chunks);
        }
        self.end = self.end.or(end);
        mem::take(&mut self.waiting)
    }
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Handle,
    pub(crate) opens: Arc<SessionFlow>,
}

/// All that the application can name.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) connections: FxHashMap<Handle, Arc<ConnectionFlow>>,
    pub(crate) sessions: FxHashMap<Handle, Session>,
    pub(crate) streams: FxHashMap<Handle, Stream>,
    /// Of the peer's that there may be of a connection
    pub(crate) max_pending_streams: usize,
}

impl Inbox {
    /// Brings the tables up to date and appends what the application is to be told.
    pub(crate) fn take(&mut self, message: Message, events: &mut Vec<Event>) {
        match message {
            Message::Data { stream: handle, chunks, end } => {
                if let Some(stream) = self.streams.get_mut(&handle)
                    && stream.receive(chunks, end)
                {
                    events.push(Event::Readable { stream: handle });
                }
            }
            Message::Datagram { session, payload } => {
                if let Some(flow) =
                    self.sessions.get(&session).and_then(|x| self.connections.get(&x.connection))
                {
                    flow.datagrams_in.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                }
                match events.last_mut() {
                    Some(Event::Datagrams { session: last, payloads }) if *last == session => {
                        payloads.push(payload);
                    }
                    _ => events.push(Event::Datagrams { session, payloads: vec![payload] }),
                }
            }
            Message::IncomingSession { connection, flow, session, request, id, early_data, opens } => {
                self.connections.entry(connection).or_insert(flow);
                self.sessions.insert(session, Session { connection, opens });
                events.push(Event::SessionRequest { connection, session, request, id, early_data });
            }
            Message::IncomingStream { connection, session, stream, id, flow } => {
                let given = Stream { given: true, ..Stream::new(connection, flow, true) };
                self.streams.insert(stream, given);
                if self.sessions.contains_key(&session) {
                    events.push(Event::StreamIncoming { session, stream, id });
                } else {
                    self.remove(stream);
                }
            }
            Message::Event(event) => {
                self.note(&event);
                events.push(event);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::ConnectionClosed { connection, .. } => {
                self.connections.remove(connection);
            }
            Event::SessionClosed { session, .. } | Event::SessionRejected { session, .. } => {
                self.sessions.remove(session);
            }
            Event::StreamFailed { stream, .. } => {
                self.remove(*stream);
            }
            Event::StreamStopped { stream: handle, code } => {
                if let Some(stream) = self.streams.get_mut(handle) {
                    stream.sending = Sending::Ended(*code);
                }
            }
            _ => {}
        }
    }

    /// Streams whose both directions ended, and were read to the end, are forgotten.
    /// `true`: the I/O thread waits for that, and has to be told by any command for the connection.
    pub(crate) fn forget_if_done(&mut self, handle: Handle) -> bool {
        let is_done = self.streams.get(&handle).is_some_and(Stream::is_done);
        is_done && self.remove(handle).is_some_and(|(_, waits)| waits)
    }

    /// The stream, and whether the I/O thread waits for its end.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<(Stream, bool)> {
        let stream = self.streams.remove(&handle)?;
        let flow = self.connections.get(&stream.connection).filter(|_| stream.given);
        let waits = flow.is_some_and(|x| x.take_stream_back(self.max_pending_streams));
        Some((stream, waits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(parts: &[&'static [u8]]) -> Vec<Bytes> {
        parts.iter().map(|x| Bytes::from_static(x)).collect()
    }

    #[test]
    fn reading_in_pieces() {
        let mut stream = Stream::new(1, None, true);
        assert!(stream.receive(chunks(&[b"abc", b"de"]), None), "announced from the start");
        assert!(!stream.receive(chunks(&[b"f"]), None), "only once");
        assert_eq!(stream.read(4), Ok(Read::Data(chunks(&[b"abc", b"d"]))));
        assert_eq!(stream.report(5), None);
        assert_eq!(stream.read(usize::MAX), Ok(Read::Data(chunks(&[b"e", b"f"]))));
        assert_eq!(stream.report(5), Some(6));
        assert_eq!(stream.read(1), Ok(Read::Nothing));
        assert!(stream.receive(chunks(&[b"g"]), Some(End::Reset(Some(7)))));
        assert_eq!(stream.read(9), Ok(Read::Data(chunks(&[b"g"]))));
        assert_eq!(stream.report(5), Some(1), "nothing will follow");
        assert!(!stream.is_done());
        assert_eq!(stream.read(9), Err(ReadError::Reset(Some(7))));
        assert!(stream.is_done());
    }

    #[test]
    fn datagrams_of_a_session_come_together() {
        let mut inbox = Inbox::default();
        let mut events = Vec::new();
        for session in [1, 1, 2] {
            inbox.take(Message::Datagram { session, payload: Bytes::from_static(b"x") }, &mut events);
        }
        let sizes: Vec<_> = events
            .iter()
            .map(|x| match x {
                Event::Datagrams { session, payloads } => (*session, payloads.len()),
                _ => (0, 0),
            })
            .collect();
        assert_eq!(sizes, [(1, 2), (2, 1)]);
    }
}
