//! Who runs the reactor: a thread of its own, or the application's where that would only wait for it.
//!
//! Whoever holds the lock runs rounds; the I/O thread gives it back while it sleeps. An application that answers
//! what it was just told carries its few commands out itself meanwhile: waking a thread to do it would take
//! longer. Where single packets come and go, the I/O thread lends its sockets (see [`super::loan`]).

use std::{
    fmt, io,
    net::SocketAddr,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Reactor;
use crate::shared::{Shared, describe};

/// The reactor of an endpoint, for whoever runs it next.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

enum State {
    Running(Box<Reactor>),
    /// With the message of the failure, if it was one
    Ended(Option<String>),
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

impl State {
    /// `None`: it is over. A panic is the end, too.
    fn act<T>(&mut self, action: impl FnOnce(&mut Reactor) -> Option<T>) -> Option<T> {
        let Self::Running(reactor) = self else { return None };
        match catch_unwind(AssertUnwindSafe(|| action(reactor))) {
            Ok(Some(result)) => return Some(result),
            Ok(None) => *self = Self::Ended(None),
            // What the panic left behind is gone, and not used again
            Err(panic) => *self = Self::Ended(Some(describe(&*panic))),
        }
        None
    }
}

/// What the I/O thread sleeps for.
pub(super) struct Sleep {
    pub(super) until: Option<Instant>,
    /// Of each socket
    pub(super) events: Vec<PollFlags>,
}

impl Driver {
    pub(crate) fn new(reactor: Reactor, shared: Arc<Shared>) -> Self {
        Self { shared, state: Mutex::new(State::Running(Box::new(reactor))) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the sockets are bound.
    pub(crate) fn local_addresses(&self) -> Vec<SocketAddr> {
        match &*self.state() {
            State::Running(reactor) => reactor.local_addresses(),
            State::Ended(_) => Vec::new(),
        }
    }

    /// The sockets once more, to be waited for without the lock.
    pub(crate) fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        match &*self.state() {
            State::Running(reactor) => reactor.descriptors(),
            State::Ended(_) => Ok(Vec::new()),
        }
    }

    /// The I/O thread, until the endpoint is closed. The result is the message of a failure.
    pub(crate) fn run(&self, sockets: &[OwnedFd]) -> Option<String> {
        let mut readable = vec![true; sockets.len()];
        loop {
            let mut state = self.state();
            let Some(sleep) = state.act(|x| x.work(&readable)) else {
                return match &mut *state {
                    State::Ended(error) => error.take(),
                    State::Running(_) => None,
                };
            };
            drop(state);
            readable = self.sleep(&sleep, sockets);
        }
    }

    /// Waits for the application, the network and the timers. The result says which sockets to ask.
    fn sleep(&self, sleep: &Sleep, sockets: &[OwnedFd]) -> Vec<bool> {
        let commands = &self.shared.commands;
        let wait = sleep.until.map(|x| x.saturating_duration_since(Instant::now()));
        let wait = wait.and_then(|x: Duration| Timespec::try_from(x).ok());
        let mut fds = Vec::with_capacity(1 + sockets.len());
        fds.push(PollFd::new(commands, PollFlags::IN));
        fds.extend(sockets.iter().zip(&sleep.events).map(|(fd, events)| PollFd::new(fd, *events)));
        // EINTR and the like: just go round once more
        let _ = poll(&mut fds, wait.as_ref());
        commands.disarm();
        if !fds[0].revents().is_empty() {
            commands.clear();
        }
        fds[1..].iter().map(|x| !x.revents().difference(PollFlags::OUT).is_empty()).collect()
    }

    /// Lets the calling thread do what the I/O thread would be woken for. `false`: wake it, there is more to it,
    /// or somebody else is at work.
    pub(crate) fn turn(&self, receive: bool) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        // Once it is over, the I/O thread is to see that
        state.act(|x| Some(x.turn(receive))).unwrap_or(false)
    }
}
