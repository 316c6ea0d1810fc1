//! Who wakes whom: the part of a channel that decides whether a sleeper has to be woken.
//!
//! The sleeper raises the flag and looks for work once more before it sleeps; whoever brings work lowers the
//! flag afterwards, and wakes the sleeper if it was up. Every access both reads and writes the flag, so that they
//! have one order and each sees what was done before the one before it: either the sleeper comes second and sees
//! the work, or the other does and finds the flag up. A plain load or store in their place would break the chain:
//! it may look at the flag before what comes earlier in the program is visible to the other side.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::sync::AtomicBool;

/// Up: somebody sleeps, or is about to.
#[derive(Debug)]
pub(crate) struct Signal(AtomicBool);

impl Signal {
    pub(crate) fn new(up: bool) -> Self {
        Self(AtomicBool::new(up))
    }

    /// Sleeper: about to sleep. `false`: don't, as there is work.
    pub(crate) fn arm(&self, has_work: impl FnOnce() -> bool) -> bool {
        self.0.swap(true, AcqRel);
        if has_work() {
            self.disarm();
            return false;
        }
        true
    }

    /// Sleeper: awake for another reason.
    pub(crate) fn disarm(&self) {
        self.0.swap(false, AcqRel);
    }

    /// A guess: no order follows from it.
    pub(crate) fn is_up(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// There is work now. `true`: the sleeper has to be woken, by the caller and nobody else.
    #[must_use]
    pub(crate) fn lower(&self) -> bool {
        self.0.swap(false, AcqRel)
    }
}
