//! What the application's threads and the I/O thread share, and the life of the latter.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
    time::Duration,
};

use wt_channel::Channel;

use crate::{
    config::Config,
    message::{Command, Handle, Message},
    watch::Watch,
};

/// Readable from any thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) connections_total: AtomicU64,
    pub(crate) handshakes_refused: AtomicU64,
    pub(crate) retries_sent: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) streams: AtomicU64,
    pub(crate) datagrams_dropped: AtomicU64,
    pub(crate) send_errors: AtomicU64,
    pub(crate) application_rounds: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) commands: Channel<Command>,
    pub(crate) messages: Channel<Message>,
    pub(crate) watch: Watch,
    pub(crate) counters: Counters,
    last_handle: AtomicU64,
    /// The thread has ended
    closed: AtomicBool,
    /// The application was told of it
    told: AtomicBool,
    /// Once the thread has ended: the message of its failure if there was one
    end: Mutex<Option<Option<String>>>,
    ended: Condvar,
}

impl Shared {
    pub(crate) fn new(config: &Config) -> io::Result<Arc<Self>> {
        let messages = Channel::new(config.limits.event_queue)?;
        Ok(Arc::new(Self {
            commands: Channel::new(config.limits.command_queue)?,
            watch: Watch::new(&messages)?,
            messages,
            counters: Counters::default(),
            last_handle: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            told: AtomicBool::new(false),
            end: Mutex::new(None),
            ended: Condvar::new(),
        }))
    }

    pub(crate) fn new_handle(&self) -> Handle {
        self.last_handle.fetch_add(1, Relaxed) + 1
    }

    /// Starts the I/O thread. What it returns, or a panic in it, becomes the message of its end.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        run: impl FnOnce() -> Option<String> + Send + 'static,
    ) -> io::Result<()> {
        let shared = self.clone();
        thread::Builder::new().name("wt-io".to_owned()).spawn(move || {
            // What the panic left behind is gone with `run`, and is not used again
            let error = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|x| Some(describe(&*x)));
            *shared.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            shared.closed.store(true, SeqCst);
            shared.ended.notify_all();
            shared.messages.notify();
        })?;
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// How the thread ended; only once.
    pub(crate) fn take_end(&self) -> Option<Option<String>> {
        if !self.is_closed() || self.told.swap(true, SeqCst) {
            return None;
        }
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the thread to end. `false`: it took too long.
    pub(crate) fn join(&self, timeout: Option<Duration>) -> bool {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let running = |x: &mut Option<_>| x.is_none();
        match timeout {
            Some(timeout) => {
                let result = self.ended.wait_timeout_while(end, timeout, running);
                result.unwrap_or_else(PoisonError::into_inner).0.is_some()
            }
            None => self.ended.wait_while(end, running).unwrap_or_else(PoisonError::into_inner).is_some(),
        }
    }
}

/// The message of a panic.
pub(crate) fn describe(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|x| (*x).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("internal error: {}", text.as_deref().unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_shown_once() {
        let shared = Shared::new(&Config::new(wt_core::Role::Client)).unwrap();
        assert_eq!(shared.take_end(), None);
        shared.spawn(|| panic!("of the {}", "test")).unwrap();
        assert!(shared.join(None));
        while !shared.is_closed() {
            thread::yield_now();
        }
        assert_eq!(shared.take_end(), Some(Some("internal error: of the test".to_owned())));
        assert_eq!(shared.take_end(), None);
    }
}
