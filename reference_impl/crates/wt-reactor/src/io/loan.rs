//! The sockets, lent to the application's event loop.
//!
//! Between a packet and the answer of the application two threads wake each other, which takes longer than
//! either's work. Where packets come one by one, to an application that waits for them, its thread may as well
//! read them: it then waits for the sockets, too. The loan ends once there is more to do than to answer a packet,
//! or when the application has other things to do.

use std::{
    mem,
    time::{Duration, Instant},
};

use super::Reactor;

/// How long the application may leave the sockets alone
const TERM: Duration = Duration::from_millis(5);
/// Packets of one round with which somebody can still be said to wait for each
const FEW: usize = 8;
/// Packets of one round with which the loan ends
const MANY: usize = 16;
/// Rounds with few packets in a row after which the sockets are lent
const ROUNDS: u32 = 8;

/// Where a loan stands.
#[derive(Default)]
pub(super) struct Loan {
    /// While it lasts: when the I/O thread looks after it
    term: Option<Instant>,
    /// Rounds with few packets in a row
    light: u32,
    /// The application has read in this term
    used: bool,
}

impl Loan {
    pub(super) fn is_lent(&self) -> bool {
        self.term.is_some()
    }

    /// When the I/O thread has to look after the sockets.
    pub(super) fn term(&self) -> Option<Instant> {
        self.term
    }
}

impl Reactor {
    /// The I/O thread is awake. `true`: the sockets are its own again, and to be asked.
    pub(super) fn call_loan_in(&mut self, now: Instant) -> bool {
        if self.loan.term.is_none_or(|x| now < x) {
            return false;
        }
        if mem::take(&mut self.loan.used) {
            self.loan.term = Some(now + TERM);
            return false;
        }
        self.end_loan();
        true
    }

    /// The I/O thread was woken by a packet, to an application that did nothing else.
    pub(super) fn consider_loan(&mut self, now: Instant, waited_for: bool) {
        self.loan.light = if waited_for && self.packets() <= FEW { self.loan.light + 1 } else { 0 };
        if self.loan.light >= ROUNDS && !self.loan.is_lent() && self.shutdown.is_none() {
            let term = self.shared.watch.lend(&self.sockets).then(|| now + TERM);
            self.loan = Loan { term, ..Loan::default() };
        }
    }

    /// After a round of the application's. `false`: it was too much for it.
    pub(super) fn use_loan(&mut self) -> bool {
        self.loan.used = true;
        self.packets() < MANY
    }

    /// Received and sent in this round.
    fn packets(&self) -> usize {
        self.sockets.iter().map(|x| x.packets).sum()
    }

    pub(super) fn end_loan(&mut self) {
        if self.loan.is_lent() {
            self.loan = Loan::default();
            self.shared.watch.take_back(&self.sockets);
        }
    }
}
