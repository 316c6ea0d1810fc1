//! Stand-ins for what loom cannot look into: crossbeam's queue and a file descriptor of the system.

use std::{fmt, io, sync::atomic::Ordering};

use loom::sync::{Condvar, Mutex, atomic::AtomicUsize};

/// One producer and one consumer at a time. Its orderings are the weakest with which elements are handed over at
/// all, weaker than those of the real queue: what holds with it does not depend on them.
pub struct ArrayQueue<T> {
    slots: Vec<Mutex<Option<T>>>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

impl<T> ArrayQueue<T> {
    /// Room for `slots` elements.
    pub fn new(slots: usize) -> Self {
        let (head, tail) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { slots: (0..slots).map(|_| Mutex::new(None)).collect(), head, tail }
    }

    fn slot(&self, index: usize) -> loom::sync::MutexGuard<'_, Option<T>> {
        match self.slots[index % self.slots.len()].lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Gives the element back if there is no room.
    pub fn push(&self, element: T) -> Result<(), T> {
        if self.is_full() {
            return Err(element);
        }
        let tail = self.tail.load(Ordering::Relaxed);
        *self.slot(tail) = Some(element);
        self.tail.store(tail + 1, Ordering::Release);
        Ok(())
    }

    /// The next element.
    pub fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let head = self.head.load(Ordering::Relaxed);
        let element = self.slot(head).take();
        self.head.store(head + 1, Ordering::Release);
        element
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        let (tail, head) = (self.tail.load(Ordering::Acquire), self.head.load(Ordering::Acquire));
        tail.saturating_sub(head)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.len() >= self.slots.len()
    }
}

impl<T> fmt::Debug for ArrayQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayQueue").finish_non_exhaustive()
    }
}

/// An event counter: readable from [`Wake::notify`] to [`Wake::clear`]. Somebody who waits for it for ever is a
/// deadlock that loom reports.
#[derive(Debug)]
pub struct Wake {
    readable: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    /// Not readable at first.
    pub fn new() -> io::Result<Self> {
        Ok(Self { readable: Mutex::new(false), changed: Condvar::new() })
    }

    fn set(&self, to: bool) {
        match self.readable.lock() {
            Ok(mut readable) => *readable = to,
            Err(poisoned) => *poisoned.into_inner() = to,
        }
    }

    /// Makes it readable.
    pub fn notify(&self) {
        self.set(true);
        self.changed.notify_one();
    }

    /// Makes it unreadable again.
    pub fn clear(&self) {
        self.set(false);
    }

    /// Sleeps until it is readable.
    pub fn wait(&self) {
        let Ok(mut readable) = self.readable.lock() else { return };
        while !*readable {
            readable = match self.changed.wait(readable) {
                Ok(readable) => readable,
                Err(_) => return,
            };
        }
    }
}
