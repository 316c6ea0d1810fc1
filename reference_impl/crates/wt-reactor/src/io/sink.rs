//! Messages to the application.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use crate::{
    message::{Event, Handle, Message},
    shared::Shared,
};

/// The I/O thread's end of the queue. What doesn't fit is kept here, and then nothing more is read from the
/// network, so that no more comes than what was under way.
pub(super) struct Sink {
    shared: Arc<Shared>,
    overflow: VecDeque<Message>,
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, overflow: VecDeque::new() }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn handle(&self) -> Handle {
        self.shared.new_handle()
    }

    pub(super) fn event(&mut self, event: Event) {
        self.message(Message::Event(event));
    }

    pub(super) fn message(&mut self, message: Message) {
        if self.overflow.is_empty() {
            if let Err(message) = self.shared.messages.push(message) {
                self.overflow.push_back(message);
            }
        } else {
            self.overflow.push_back(message);
        }
    }

    /// The application does not keep up.
    pub(super) fn is_congested(&self) -> bool {
        !self.overflow.is_empty()
    }

    pub(super) fn count_dropped_datagram(&self) {
        self.shared.counters.datagrams_dropped.fetch_add(1, Relaxed);
    }

    /// End of a batch: moves on what was kept and wakes the application.
    pub(super) fn flush(&mut self) {
        while let Some(message) = self.overflow.pop_front() {
            if let Err(message) = self.shared.messages.push(message) {
                self.overflow.push_front(message);
                if self.shared.messages.starve() {
                    break;
                }
            }
        }
        if !self.shared.messages.is_empty() {
            self.shared.messages.flush();
        }
    }
}
