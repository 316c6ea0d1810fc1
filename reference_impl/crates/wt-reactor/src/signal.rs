//! Who wakes whom: the part of a channel that decides whether a sleeper has to be woken.
//!
//! The sleeper raises the flag and looks for work once more before it sleeps; whoever brings work lowers the
//! flag afterwards, and wakes the sleeper only if it was up. One of the two always sees the other, as all these
//! operations, and those of the queue, are sequentially consistent.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Up: somebody sleeps, or is about to.
#[derive(Debug)]
pub(crate) struct Signal(AtomicBool);

impl Signal {
    pub(crate) fn new(up: bool) -> Self {
        Self(AtomicBool::new(up))
    }

    /// Sleeper: about to sleep. `false`: don't, as there is work.
    pub(crate) fn arm(&self, has_work: impl FnOnce() -> bool) -> bool {
        self.0.store(true, SeqCst);
        if has_work() {
            self.0.store(false, SeqCst);
            return false;
        }
        true
    }

    /// Sleeper: awake for another reason.
    pub(crate) fn disarm(&self) {
        self.0.store(false, SeqCst);
    }

    /// There is work now. `true`: the sleeper has to be woken, by the caller and nobody else.
    #[must_use]
    pub(crate) fn lower(&self) -> bool {
        // Mostly it is down already: reading first spares the cache line
        self.0.load(SeqCst) && self.0.swap(false, SeqCst)
    }
}
