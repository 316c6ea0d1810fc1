//! How commands get to the reactor: through the queue to its thread, or by the application's own.

use std::{fmt, sync::atomic::Ordering::Relaxed, thread, time::Duration};

use crate::{
    app::{Endpoint, Failure},
    message::{Command, ConnectionCommand, Handle},
};

/// Commands that are put off at most, so that the I/O thread has something to do meanwhile
const AT_ONCE: usize = 32;
/// How often the application may act for the I/O thread until it is told something new: enough to answer it. One
/// that just sends leaves that to the I/O thread, which has it done at the same time and for many at once
pub(crate) const ANSWERS: usize = 4;

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// Too much is queued
    Dropped,
    /// It is sent with what else there is
    Later,
    /// It is sent by [`Endpoint::flush`]
    Now,
}

/// Sees to it that commands that were put off are not forgotten.
pub(crate) struct Later(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}

impl Endpoint {
    /// Reads the sockets if they are lent to the application.
    pub(crate) fn receive(&self) {
        if self.shared.watch.is_lent() {
            // This thread is about to see what comes of it
            self.shared.messages.disarm();
            if !self.driver.turn(true) {
                self.shared.commands.notify();
            }
        }
    }

    /// Whether the sockets are lent to the application: it is woken by packets.
    pub fn borrows(&self) -> bool {
        self.shared.watch.is_lent()
    }

    pub(crate) fn command(&self, command: Command) -> Result<(), Failure> {
        self.enqueue(command)?;
        self.flush();
        if self.shared.is_closed() { Err(Failure::Closed) } else { Ok(()) }
    }

    /// Wakes the I/O thread for what it was not woken for (see [`Endpoint::defer`]).
    pub fn flush(&self) {
        self.deferred.store(0, Relaxed);
        let commands = &self.shared.commands;
        if commands.claim() {
            let may = self.answers.fetch_update(Relaxed, Relaxed, |x| x.checked_sub(1)).is_ok();
            if !(may && self.driver.turn(false)) {
                commands.notify();
            }
        }
    }

    /// From now on the I/O thread is not woken for each stream opened, written, read or datagram sent, but for
    /// many at a time: `later` is called for the first of them, and has to see to it that [`Endpoint::flush`] is
    /// called soon. Once only.
    pub fn defer(&self, later: impl Fn() + Send + Sync + 'static) {
        let _ = self.later.set(Later(Box::new(later)));
    }

    /// A command on a stream or for a datagram.
    pub(crate) fn of_data(&self, connection: Handle, command: ConnectionCommand) -> Result<(), Failure> {
        let Some(Later(later)) = self.later.get() else { return self.of_connection(connection, command) };
        self.enqueue(Command::Connection { connection, command })?;
        match self.deferred.fetch_add(1, Relaxed) {
            0 => later(),
            AT_ONCE.. => {
                self.leave_to_io();
                self.flush();
            }
            _ => {}
        }
        if self.shared.is_closed() { Err(Failure::Closed) } else { Ok(()) }
    }

    /// A datagram may be an answer that somebody waits for: the first ones are not put off.
    pub(crate) fn of_datagram(
        &self,
        connection: Handle,
        command: ConnectionCommand,
    ) -> Result<Queued, Failure> {
        // One for the flush, and one so that not all are sent singly
        let at_once = self.later.get().is_none()
            || self.deferred.load(Relaxed) == 0
                && self
                    .answers
                    .fetch_update(Relaxed, Relaxed, |x| x.checked_sub(1).filter(|x| *x > 0))
                    .is_ok();
        if !at_once {
            return self.of_data(connection, command).map(|()| Queued::Later);
        }
        self.enqueue(Command::Connection { connection, command })?;
        if self.shared.is_closed() { Err(Failure::Closed) } else { Ok(Queued::Now) }
    }

    /// What comes is more than an answer: the I/O thread does it.
    pub(crate) fn leave_to_io(&self) {
        self.answers.store(0, Relaxed);
    }

    fn enqueue(&self, mut command: Command) -> Result<(), Failure> {
        let commands = &self.shared.commands;
        while let Err(back) = commands.push(command) {
            if self.shared.is_closed() {
                return Err(Failure::Closed);
            }
            // The I/O thread takes commands whatever else it waits for: this is soon over
            commands.flush();
            thread::sleep(Duration::from_micros(20));
            command = back;
        }
        Ok(())
    }

    pub(crate) fn of_connection(
        &self,
        connection: Handle,
        command: ConnectionCommand,
    ) -> Result<(), Failure> {
        self.command(Command::Connection { connection, command })
    }
}
