//! Backpressure: counters that the application and the I/O thread share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Bytes on the way from the application to QUIC, for one stream.
#[derive(Debug, Default)]
pub struct SendFlow {
    queued: AtomicUsize,
    waiting: AtomicBool,
    watched: AtomicBool,
    finished: AtomicBool,
}

impl SendFlow {
    /// Application: reserves room for `bytes`. All or nothing: allowed while less than `limit` is queued, so
    /// that a large write never waits for ever. After `false` the I/O thread says when to try again.
    pub fn reserve(&self, bytes: usize, limit: usize) -> bool {
        if self.queued.load(SeqCst) >= limit {
            self.waiting.store(true, SeqCst);
            if self.queued.load(SeqCst) >= limit {
                return false;
            }
            self.waiting.store(false, SeqCst);
        }
        self.queued.fetch_add(bytes, SeqCst);
        true
    }

    /// Application: wants to know when everything was acknowledged. `true`: it was already.
    pub fn watch(&self) -> bool {
        self.watched.store(true, SeqCst);
        self.finished.load(SeqCst)
    }

    /// I/O thread: `bytes` left the queue. `true`: the application waits for that and has to be told.
    #[must_use]
    pub fn release(&self, bytes: usize, limit: usize) -> bool {
        let left = self.queued.fetch_sub(bytes, SeqCst) - bytes;
        left < limit.div_ceil(2) && self.waiting.load(SeqCst) && self.waiting.swap(false, SeqCst)
    }

    /// I/O thread: everything was acknowledged. `true`: the application has to be told.
    #[must_use]
    pub fn finish(&self) -> bool {
        self.finished.store(true, SeqCst);
        self.watched.load(SeqCst)
    }
}

/// Datagrams of one connection, in both directions, and their size limit.
#[derive(Debug, Default)]
pub struct ConnectionFlow {
    /// Bytes from the application that QUIC has not taken yet
    pub datagrams_out: AtomicUsize,
    /// Datagrams that the application has not fetched yet
    pub datagrams_in: AtomicUsize,
    /// Largest QUIC datagram that fits at present; 0: none
    pub max_datagram: AtomicUsize,
}

#[cfg(test)]
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
