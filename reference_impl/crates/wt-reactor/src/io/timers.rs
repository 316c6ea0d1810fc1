//! When which connection wants attention.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use crate::message::Handle;

/// Entries that are not worth a clean-up
const SPARE: usize = 256;

/// A heap with at most one entry in force per connection.
///
/// QUIC moves a connection's deadline with almost every packet, mostly to later. An entry is therefore left
/// where it is unless the deadline moves to before it; when it comes up, the owner asks the connection again.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Handle)>>);

impl Timers {
    /// `entry` is the connection's entry in force, kept by the connection.
    pub(super) fn update(&mut self, handle: Handle, entry: &mut Option<Instant>, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if entry.is_none_or(|x| deadline < x) {
            *entry = Some(deadline);
            self.0.push(Reverse((deadline, handle)));
        }
    }

    /// Drops the entries that are not in force once they are most: those of connections that have ended would
    /// stay until their idle time-out.
    pub(super) fn compact(&mut self, connections: usize, is_in_force: impl Fn(Instant, Handle) -> bool) {
        if self.0.len() > 4 * connections + SPARE {
            self.0.retain(|Reverse((time, handle))| is_in_force(*time, *handle));
            self.0.shrink_to(2 * connections + SPARE);
        }
    }

    /// The next entry that is due. It is in force only if its time is that of the connection's entry.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, Handle)> {
        let Reverse((time, _)) = self.0.peek()?;
        if *time > now {
            return None;
        }
        self.0.pop().map(|Reverse(x)| x)
    }

    /// When to wake up.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((time, _))| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn entries_of_the_past_are_dropped() {
        let start = Instant::now();
        let mut timers = Timers::default();
        for handle in 0..1000 {
            timers.update(handle, &mut None, Some(start + Duration::from_millis(handle)));
            timers.compact(2, |_, handle| handle == 0);
        }
        assert!(timers.0.len() <= 8 + SPARE);
        assert_eq!(timers.next(), Some(start));
    }

    #[test]
    fn later_deadlines_need_no_entry() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut timers, mut entry) = (Timers::default(), None);
        timers.update(1, &mut entry, Some(at(10)));
        timers.update(1, &mut entry, Some(at(20)));
        timers.update(1, &mut entry, None);
        assert_eq!((timers.0.len(), timers.next()), (1, Some(at(10))));
        timers.update(1, &mut entry, Some(at(5)));
        assert_eq!((timers.0.len(), entry), (2, Some(at(5))));
        assert_eq!(timers.due(at(4)), None);
        assert_eq!(timers.due(at(30)), Some((at(5), 1)));
        assert_eq!(timers.due(at(30)), Some((at(10), 1)), "not in force");
        assert_eq!(timers.due(at(30)), None);
    }
}
