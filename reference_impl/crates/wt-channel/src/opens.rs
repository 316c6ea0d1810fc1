//! Which streams the application may take for opened before the I/O thread has seen them.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Release},
};

/// Streams of one session and direction.
///
/// The I/O thread sees streams in the order in which the application opens them, so that it can say in advance
/// how many of them get a place at once. Limits only grow while streams wait for nothing; should one shrink (several
/// sessions share those of a connection), a stream that was promised a place waits for it as any other.
#[derive(Debug, Default)]
pub struct Opens {
    started: AtomicU64,
    limit: AtomicU64,
}

impl Opens {
    /// Application: opens a stream, which may have to wait.
    pub fn start(&self) {
        self.started.fetch_add(1, AcqRel);
    }

    /// Application: opens a stream if it has a place for certain.
    pub fn try_start(&self) -> bool {
        let below = |started| (started < self.limit.load(Acquire)).then_some(started + 1);
        self.started.fetch_update(AcqRel, Acquire, below).is_ok()
    }

    /// I/O thread: as many streams get a place at once, counted from the first of the session.
    pub fn allow(&self, limit: u64) {
        self.limit.store(limit, Release);
    }
}

/// Streams of one session, bidirectional and unidirectional.
#[derive(Debug, Default)]
pub struct SessionFlow {
    pub opens: [Opens; 2],
}

const UNKNOWN: u64 = u64::MAX;
const NONE: u64 = u64::MAX - 1;

/// The QUIC stream ID of a stream, as soon as it has one.
#[derive(Debug)]
pub struct Place(AtomicU64);

impl Default for Place {
    fn default() -> Self {
        Self(AtomicU64::new(UNKNOWN))
    }
}

impl Place {
    /// I/O thread: the stream has an ID, or won't get one.
    pub fn set(&self, id: Option<u64>) {
        self.0.store(id.unwrap_or(NONE), Release);
    }

    /// `None`: not known yet; `Some(None)`: there won't be one.
    pub fn get(&self) -> Option<Option<u64>> {
        match self.0.load(Acquire) {
            UNKNOWN => None,
            NONE => Some(None),
            id => Some(Some(id)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed() {
        let opens = Opens::default();
        assert!(!opens.try_start());
        opens.allow(2);
        assert!(opens.try_start());
        opens.start();
        assert!(!opens.try_start(), "streams that may wait count too");
        opens.allow(3);
        assert!(opens.try_start());
    }

    #[test]
    fn place() {
        let place = Place::default();
        assert_eq!(place.get(), None);
        place.set(Some(4));
        assert_eq!(place.get(), Some(Some(4)));
        place.set(None);
        assert_eq!(place.get(), Some(None));
    }
}
