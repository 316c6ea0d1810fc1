//! Backpressure: counters that the application and the I/O thread share.

use std::sync::atomic::{
    self,
    Ordering::{AcqRel, Relaxed},
};

use crate::{
    opens::Place,
    signal::Signal,
    sync::{AtomicU8, AtomicUsize},
};

const WATCHED: u8 = 1;
const FINISHED: u8 = 2;

/// Bytes on the way from the application to QUIC, for one stream.
#[derive(Debug)]
pub struct SendFlow {
    queued: AtomicUsize,
    waiting: Signal,
    /// [`WATCHED`] and [`FINISHED`]: in one place, so that whoever comes second sees the other
    end: AtomicU8,
    /// Of a stream that the application opened
    pub place: Place,
}

impl Default for SendFlow {
    fn default() -> Self {
        Self {
            queued: AtomicUsize::new(0),
            waiting: Signal::new(false),
            end: AtomicU8::new(0),
            place: Place::default(),
        }
    }
}

impl SendFlow {
    /// Application: reserves room for `bytes`. All or nothing: allowed while less than `limit` is queued, so
    /// that a large write never waits for ever. After `false` the I/O thread says when to try again.
    pub fn reserve(&self, bytes: usize, limit: usize) -> bool {
        let is_full = || self.queued.load(Relaxed) >= limit;
        if is_full() && self.waiting.arm(|| !is_full()) {
            return false;
        }
        self.queued.fetch_add(bytes, Relaxed);
        true
    }

    /// Application: wants to know when everything was acknowledged. `true`: it was already.
    pub fn watch(&self) -> bool {
        self.end.fetch_or(WATCHED, AcqRel) & FINISHED != 0
    }

    /// I/O thread: `bytes` left the queue. `true`: the application waits for that and has to be told.
    #[must_use]
    pub fn release(&self, bytes: usize, limit: usize) -> bool {
        let left = self.queued.fetch_sub(bytes, Relaxed) - bytes;
        left < limit.div_ceil(2) && self.waiting.lower()
    }

    /// I/O thread: everything was acknowledged. `true`: the application has to be told.
    #[must_use]
    pub fn finish(&self) -> bool {
        self.end.fetch_or(FINISHED, AcqRel) & WATCHED != 0
    }
}

/// What one connection and the application have in hand of each other's: datagrams in both directions, and the
/// streams of the peer.
#[derive(Debug)]
pub struct ConnectionFlow {
    /// Bytes from the application that QUIC has not taken yet
    pub datagrams_out: atomic::AtomicUsize,
    /// Datagrams that the application has not fetched yet
    pub datagrams_in: atomic::AtomicUsize,
    /// Largest QUIC datagram that fits at present; 0: none
    pub max_datagram: atomic::AtomicUsize,
    /// Streams of the peer that the application has been given and is not done with
    streams: AtomicUsize,
    streams_wait: Signal,
}

impl Default for ConnectionFlow {
    fn default() -> Self {
        Self {
            datagrams_out: atomic::AtomicUsize::new(0),
            datagrams_in: atomic::AtomicUsize::new(0),
            max_datagram: atomic::AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            streams_wait: Signal::new(false),
        }
    }
}

impl ConnectionFlow {
    /// I/O thread: whether the application has room for streams of the peer, of which it may have `limit`.
    /// After `false` it says when there is.
    pub fn has_room(&self, limit: usize) -> bool {
        let is_full = || self.streams.load(Relaxed) >= limit;
        !(is_full() && self.streams_wait.arm(|| !is_full()))
    }

    /// I/O thread: the application gets a stream.
    pub fn give_stream(&self) {
        self.streams.fetch_add(1, Relaxed);
    }

    /// Application: is done with a stream. `true`: the I/O thread waits for that and has to be told.
    #[must_use]
    pub fn take_stream_back(&self, limit: usize) -> bool {
        let left = self.streams.fetch_sub(1, Relaxed) - 1;
        left < limit.div_ceil(2) && self.streams_wait.lower()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn waits_above_the_limit_and_resumes_below_half() {
        let flow = SendFlow::default();
        assert!(flow.reserve(100, 10));
        assert!(!flow.release(1, 10), "nobody waits");
        assert!(!flow.reserve(1, 10));
        assert!(!flow.release(94, 10), "still half full");
        assert!(flow.release(1, 10));
        assert!(!flow.release(4, 10), "told once");
        assert!(flow.reserve(1, 10));
    }

    #[test]
    fn streams_of_the_peer_wait_for_room() {
        let flow = ConnectionFlow::default();
        (0..4).for_each(|_| flow.give_stream());
        assert!(flow.has_room(5));
        assert!(!flow.has_room(4));
        assert!(!flow.take_stream_back(4), "still half full");
        assert!(!flow.take_stream_back(4), "still half full");
        assert!(flow.take_stream_back(4));
        assert!(!flow.take_stream_back(4), "told once");
        assert!(flow.has_room(4));
    }

    #[test]
    fn finish_is_told_to_those_who_asked() {
        let flow = SendFlow::default();
        assert!(!flow.watch());
        assert!(flow.finish());
        let flow = SendFlow::default();
        assert!(!flow.finish());
        assert!(flow.watch());
    }
}
