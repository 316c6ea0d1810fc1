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

/// Datagrams of one connection, in both directions, and their size limit.
#[derive(Debug, Default)]
pub struct ConnectionFlow {
    /// Bytes from the application that QUIC has not taken yet
    pub datagrams_out: atomic::AtomicUsize,
    /// Datagrams that the application has not fetched yet
    pub datagrams_in: atomic::AtomicUsize,
    /// Largest QUIC datagram that fits at present; 0: none
    pub max_datagram: atomic::AtomicUsize,
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
    fn finish_is_told_to_those_who_asked() {
        let flow = SendFlow::default();
        assert!(!flow.watch());
        assert!(flow.finish());
        let flow = SendFlow::default();
        assert!(!flow.finish());
        assert!(flow.watch());
    }
}
