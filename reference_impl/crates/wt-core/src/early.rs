//! Streams and datagrams that came before their session (-16 §4.6).

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::{SessionId, StreamId};

/// A stream whose header is read and whose session is not established.
#[derive(Debug)]
pub(crate) struct HeldStream {
    pub(crate) stream: StreamId,
    /// Body bytes that came with the header
    pub(crate) body: Bytes,
    pub(crate) fin: bool,
    /// The peer's reset: its wire code and the final size
    pub(crate) reset: Option<(u64, Option<u64>)>,
    /// The peer's STOP_SENDING: its wire code. Our side was reset at once.
    pub(crate) stopped: Option<u64>,
    /// Length of the header, to know the body's size from a final size
    pub(crate) header: u64,
}

/// What is kept, bounded in number.
#[derive(Debug, Default)]
pub(crate) struct Early {
    streams: FxHashMap<SessionId, Vec<HeldStream>>,
    datagrams: FxHashMap<SessionId, Vec<Bytes>>,
    stream_count: usize,
    datagram_count: usize,
}

impl Early {
    /// Keeps a stream unless `max` are kept already.
    pub(crate) fn hold(&mut self, session: SessionId, stream: HeldStream, max: usize) -> bool {
        if self.stream_count >= max {
            return false;
        }
        self.stream_count += 1;
        self.streams.entry(session).or_default().push(stream);
        true
    }

    /// Keeps a datagram unless `max` are kept already.
    pub(crate) fn hold_datagram(&mut self, session: SessionId, payload: Bytes, max: usize) {
        if self.datagram_count < max {
            self.datagram_count += 1;
            self.datagrams.entry(session).or_default().push(payload);
        }
    }

    /// The kept stream with this ID. Few are kept, so they are searched.
    pub(crate) fn find(&mut self, stream: StreamId) -> Option<&mut HeldStream> {
        self.streams.values_mut().flatten().find(|held| held.stream == stream)
    }

    /// Streams of a session, in the order in which they came.
    pub(crate) fn take_streams(&mut self, session: SessionId) -> Vec<HeldStream> {
        let streams = self.streams.remove(&session).unwrap_or_default();
        self.stream_count -= streams.len();
        streams
    }

    /// Datagrams of a session, in the order in which they came.
    pub(crate) fn take_datagrams(&mut self, session: SessionId) -> Vec<Bytes> {
        let datagrams = self.datagrams.remove(&session).unwrap_or_default();
        self.datagram_count -= datagrams.len();
        datagrams
    }
}
