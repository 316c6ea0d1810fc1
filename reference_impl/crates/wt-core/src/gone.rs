//! Request streams that are over, so that what still arrives for them is not taken for early (-16 §6).

use std::collections::VecDeque;

use crate::SessionId;

/// The most recent, bounded in number.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    recent: VecDeque<SessionId>,
    /// The highest that was forgotten: all up to it that are not alive count as gone
    floor: Option<SessionId>,
}

impl Gone {
    pub(crate) fn remember(&mut self, session: SessionId, max: usize) {
        if self.contains(session) {
            return;
        }
        self.recent.push_back(session);
        while self.recent.len() > max {
            self.floor = self.floor.max(self.recent.pop_front());
        }
    }

    /// Whether the session is over. Only to be asked for sessions that are not alive.
    pub(crate) fn contains(&self, session: SessionId) -> bool {
        self.floor.is_some_and(|floor| session <= floor) || self.recent.contains(&session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamId;

    #[test]
    fn old_ones_stay_gone() {
        let id = |n: u64| SessionId(StreamId(4 * n));
        let mut gone = Gone::default();
        for n in [0, 3, 1, 5] {
            gone.remember(id(n), 2);
        }
        assert!([0, 1, 2, 3, 5].into_iter().all(|n| gone.contains(id(n))));
        assert!(!gone.contains(id(4)) && !gone.contains(id(6)));
    }
}
