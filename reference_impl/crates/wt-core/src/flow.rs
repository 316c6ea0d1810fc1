//! Flow control of one session (-16 §5).

use crate::{Dir, SessionLimits, capsule::Capsule, code, settings::Limits};

/// Largest count of streams (-16 §5.6.2)
pub(crate) const MAX_STREAMS: u64 = 1 << 60;

/// A limit that the peer broke, or a capsule that no peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) &'static str);

impl Violation {
    /// -16 §5.6.2 and §5.6.4
    pub(crate) const CODE: u64 = code::WT_FLOW_CONTROL_ERROR;
}

/// What we may send: a limit that the peer raises.
#[derive(Debug, Clone, Default)]
struct Outgoing {
    limit: u64,
    used: u64,
    /// Whether a capsule gave the limit, so that the next has to raise it
    from_capsule: bool,
    /// The limit of which the peer was told that it is in the way
    told: Option<u64>,
    /// The application waits for more
    waiting: bool,
}

impl Outgoing {
    fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Takes a new limit. The limit in SETTINGS does not count as received before: a first capsule that does
    /// not raise it has no effect and is no violation. `true`: the application has waited for this.
    fn raise(&mut self, limit: u64, equal_is_error: bool) -> Result<bool, Violation> {
        if self.from_capsule && (limit < self.limit || (equal_is_error && limit == self.limit)) {
            return Err(Violation("a limit does not increase"));
        }
        if limit >= self.limit {
            self.from_capsule = true;
            self.limit = limit;
        }
        let wakes = self.waiting && self.left() > 0;
        self.waiting &= !wakes;
        Ok(wakes)
    }

    /// The application is held up. The limit, if the peer has not been told of it.
    fn block(&mut self) -> Option<u64> {
        self.waiting = true;
        let told = self.told.replace(self.limit);
        (told != Some(self.limit)).then_some(self.limit)
    }
}

/// What the peer may send: a limit that we raise as the application consumes.
#[derive(Debug, Clone, Default)]
struct Incoming {
    window: u64,
    limit: u64,
    used: u64,
    freed: u64,
    /// A stream ended without its final size being known, so that `used` may be too low
    lost: bool,
    /// What may be used beyond the limit, because `used` was corrected and may be too high
    slack: u64,
    /// The limit from which on being held up says something of the window in force
    widened_at: u64,
}

impl Incoming {
    fn new(window: u64) -> Self {
        Self { window, limit: window, widened_at: window, ..Self::default() }
    }

    fn take(&mut self, amount: u64) -> bool {
        self.used = self.used.saturating_add(amount);
        self.used <= self.limit.saturating_add(self.slack)
    }

    /// The peer says that it has used all of `limit`. What is missing from the account then is credit of
    /// streams whose final size was not known, or still under way; in the latter case it will be counted again.
    fn correct(&mut self, limit: u64, max: u64) -> Option<u64> {
        if !self.lost || limit != self.limit {
            return None;
        }
        self.lost = false;
        let missing = self.limit.saturating_sub(self.used);
        self.slack = self.slack.saturating_add(missing);
        self.used = self.used.saturating_add(missing);
        self.free(missing, max)
    }

    /// The peer was held up at `limit`. Where the application has taken most of what came, that was the window's
    /// doing: the credit took longer to arrive than the peer to use it up. It doubles, up to `largest`.
    fn widen(&mut self, limit: u64, largest: u64, max: u64) -> Option<u64> {
        let unread = self.used.saturating_sub(self.freed);
        let is_current = (self.widened_at..=self.limit).contains(&limit);
        if !is_current || self.window >= largest || unread > self.window / 2 {
            return None;
        }
        self.window = self.window.saturating_mul(2).min(largest);
        let credit = self.free(0, max);
        self.widened_at = self.limit;
        credit
    }

    /// Gives back. The new limit, if it is time to send one: once half of the window is free again.
    fn free(&mut self, amount: u64, max: u64) -> Option<u64> {
        self.freed = self.freed.saturating_add(amount).min(self.used);
        let next = self.freed.saturating_add(self.window).min(max);
        if next - self.limit < self.window.div_ceil(2).max(1) {
            return None;
        }
        self.limit = next;
        Some(next)
    }
}

/// One account for each direction of streams.
#[derive(Debug)]
struct PerDir<T> {
    bidi: T,
    uni: T,
}

impl<T> PerDir<T> {
    fn of(&self, dir: Dir) -> &T {
        match dir {
            Dir::Bidi => &self.bidi,
            Dir::Uni => &self.uni,
        }
    }

    fn of_mut(&mut self, dir: Dir) -> &mut T {
        match dir {
            Dir::Bidi => &mut self.bidi,
            Dir::Uni => &mut self.uni,
        }
    }
}

/// The accounts of a session on which flow control is in force.
#[derive(Debug)]
pub(crate) struct Flow {
    equal_is_error: bool,
    send_data: Outgoing,
    open: PerDir<Outgoing>,
    recv_data: Incoming,
    largest_window: u64,
    accept: PerDir<Incoming>,
}

/// What a capsule of the peer makes possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relief {
    Data,
    Streams(Dir),
}

impl Flow {
    /// `largest_window`: bytes up to which the window for data may grow.
    pub(crate) fn new(ours: Limits, theirs: Limits, largest_window: u64, equal_is_error: bool) -> Self {
        Self {
            equal_is_error,
            send_data: Outgoing::new(theirs.data),
            open: PerDir { bidi: Outgoing::new(theirs.bidi), uni: Outgoing::new(theirs.uni) },
            recv_data: Incoming::new(ours.data),
            largest_window,
            accept: PerDir { bidi: Incoming::new(ours.bidi), uni: Incoming::new(ours.uni) },
        }
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> SessionLimits {
        let (open, accept) = (&self.open, &self.accept);
        SessionLimits {
            peer: Limits { data: self.send_data.limit, bidi: open.bidi.limit, uni: open.uni.limit },
            ours: Limits { data: self.recv_data.limit, bidi: accept.bidi.limit, uni: accept.uni.limit },
        }
    }

    /// Body bytes that may be sent.
    pub(crate) fn send_credit(&self) -> u64 {
        self.send_data.left()
    }

    pub(crate) fn sent(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.send_data.left());
        self.send_data.used = self.send_data.used.saturating_add(bytes);
    }

    /// Sending is held up: WT_DATA_BLOCKED, once for each limit.
    pub(crate) fn block_data(&mut self) -> Option<Capsule> {
        self.send_data.block().map(Capsule::DataBlocked)
    }

    /// Streams that may be opened.
    pub(crate) fn open_credit(&self, dir: Dir) -> u64 {
        self.open.of(dir).left()
    }

    /// Whether a stream may be opened.
    pub(crate) fn can_open(&self, dir: Dir) -> bool {
        self.open.of(dir).left() > 0
    }

    pub(crate) fn opened(&mut self, dir: Dir) {
        self.open.of_mut(dir).used += 1;
    }

    /// Opening is held up: WT_STREAMS_BLOCKED, once for each limit.
    pub(crate) fn block_streams(&mut self, dir: Dir) -> Option<Capsule> {
        self.open.of_mut(dir).block().map(|limit| Capsule::StreamsBlocked(dir, limit))
    }

    /// The peer opened a stream.
    pub(crate) fn accepted(&mut self, dir: Dir) -> Result<(), Violation> {
        match self.accept.of_mut(dir).take(1) {
            true => Ok(()),
            false => Err(Violation("more streams than the session allows")),
        }
    }

    /// A stream of the peer is done with.
    pub(crate) fn released(&mut self, dir: Dir) -> Option<Capsule> {
        self.accept.of_mut(dir).free(1, MAX_STREAMS).map(|limit| Capsule::MaxStreams(dir, limit))
    }

    /// Body bytes came.
    pub(crate) fn received(&mut self, bytes: u64) -> Result<(), Violation> {
        match self.recv_data.take(bytes) {
            true => Ok(()),
            false => Err(Violation("more data than the session allows")),
        }
    }

    /// A stream ended and its final size is not known.
    pub(crate) fn lost_count(&mut self) {
        self.recv_data.lost = true;
    }

    /// WT_DATA_BLOCKED is not waited for, but it tells of credit that was lost from sight, and of a window that
    /// is too small for the path.
    pub(crate) fn peer_blocked(&mut self, limit: u64) -> Option<Capsule> {
        let corrected = self.recv_data.correct(limit, crate::varint::MAX);
        let widened = self.recv_data.widen(limit, self.largest_window, crate::varint::MAX);
        widened.or(corrected).map(Capsule::MaxData)
    }

    /// Body bytes were consumed.
    pub(crate) fn consumed(&mut self, bytes: u64) -> Option<Capsule> {
        self.recv_data.free(bytes, crate::varint::MAX).map(Capsule::MaxData)
    }

    /// A flow-control capsule of the peer.
    pub(crate) fn capsule(&mut self, capsule: &Capsule) -> Result<Option<Relief>, Violation> {
        let equal_is_error = self.equal_is_error;
        match *capsule {
            Capsule::MaxData(limit) => {
                Ok(self.send_data.raise(limit, equal_is_error)?.then_some(Relief::Data))
            }
            Capsule::MaxStreams(_, limit) | Capsule::StreamsBlocked(_, limit) if limit > MAX_STREAMS => {
                Err(Violation("a count of streams above 2^60"))
            }
            Capsule::MaxStreams(dir, limit) => {
                Ok(self.open.of_mut(dir).raise(limit, equal_is_error)?.then_some(Relief::Streams(dir)))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(data: u64, streams: u64) -> Flow {
        let limits = Limits { data, bidi: streams, uni: streams };
        Flow::new(limits, limits, data, true)
    }

    /// -16 §5.6.2 and §5.6.4: what does not increase is an error, 2^60 is the largest count
    #[test]
    fn limits_have_to_increase() {
        let mut flow = flow(0, 0);
        assert_eq!(flow.capsule(&Capsule::MaxData(10)), Ok(None));
        assert!(flow.capsule(&Capsule::MaxData(10)).is_err());
        assert!(flow.capsule(&Capsule::MaxData(5)).is_err());
        assert_eq!(flow.capsule(&Capsule::MaxStreams(Dir::Uni, MAX_STREAMS)), Ok(None));
        assert!(flow.capsule(&Capsule::MaxStreams(Dir::Bidi, MAX_STREAMS + 1)).is_err());
        assert!(flow.capsule(&Capsule::StreamsBlocked(Dir::Bidi, MAX_STREAMS + 1)).is_err());
        assert_eq!(flow.capsule(&Capsule::StreamsBlocked(Dir::Bidi, MAX_STREAMS)), Ok(None));
        assert!(flow.can_open(Dir::Uni) && !flow.can_open(Dir::Bidi));
    }

    #[test]
    fn an_older_draft_takes_equal_limits() {
        let mut flow = Flow::new(Limits::default(), Limits::default(), 0, false);
        assert_eq!(flow.capsule(&Capsule::MaxData(10)), Ok(None));
        assert_eq!(flow.capsule(&Capsule::MaxData(10)), Ok(None));
        assert!(flow.capsule(&Capsule::MaxData(9)).is_err());
    }

    #[test]
    fn blocked_is_said_once_and_relieved_once() {
        let mut flow = flow(4, 1);
        flow.sent(4);
        assert_eq!(flow.send_credit(), 0);
        assert_eq!(flow.block_data(), Some(Capsule::DataBlocked(4)));
        assert_eq!(flow.block_data(), None);
        assert_eq!(flow.capsule(&Capsule::MaxData(6)), Ok(Some(Relief::Data)));
        assert_eq!(flow.capsule(&Capsule::MaxData(7)), Ok(None));
        flow.opened(Dir::Bidi);
        assert_eq!(flow.block_streams(Dir::Bidi), Some(Capsule::StreamsBlocked(Dir::Bidi, 1)));
        assert_eq!(flow.capsule(&Capsule::MaxStreams(Dir::Bidi, 2)), Ok(Some(Relief::Streams(Dir::Bidi))));
    }

    #[test]
    fn lost_credit_comes_back() {
        let mut flow = flow(10, 1);
        assert!(flow.received(4).is_ok());
        assert_eq!(flow.consumed(4), None);
        assert_eq!(flow.peer_blocked(10), None, "nothing is lost");
        flow.lost_count();
        assert_eq!(flow.peer_blocked(9), None, "an old limit");
        assert_eq!(flow.peer_blocked(10), Some(Capsule::MaxData(20)));
        assert_eq!(flow.peer_blocked(20), None, "only once");
        // The six bytes may have been under way after all
        assert!(flow.received(16).is_ok());
        assert!(flow.received(1).is_err());
    }

    #[test]
    fn the_window_grows_for_a_peer_that_outruns_its_credit() {
        let limits = Limits { data: 10, bidi: 0, uni: 0 };
        let mut flow = Flow::new(limits, limits, 32, true);
        assert!(flow.received(10).is_ok());
        assert_eq!(flow.peer_blocked(10), None, "the application is what is slow");
        assert_eq!(flow.consumed(10), Some(Capsule::MaxData(20)));
        assert_eq!(flow.peer_blocked(21), None, "no limit of ours");
        // Held up at the limit before the last
        assert_eq!(flow.peer_blocked(10), Some(Capsule::MaxData(30)));
        assert_eq!(flow.peer_blocked(20), None, "that window is history");
        assert!(flow.received(20).is_ok());
        assert_eq!(flow.consumed(20), Some(Capsule::MaxData(50)));
        assert_eq!(flow.peer_blocked(50), None, "six more are not worth a capsule");
        assert!(flow.received(20).is_ok());
        assert_eq!(flow.consumed(20), Some(Capsule::MaxData(82)), "32 at most");
        assert_eq!(flow.peer_blocked(82), None);
    }

    #[test]
    fn credit_follows_consumption() {
        let mut flow = flow(10, 1);
        assert!(flow.received(10).is_ok());
        assert_eq!(flow.consumed(4), None);
        assert_eq!(flow.consumed(1), Some(Capsule::MaxData(15)));
        assert!(flow.received(5).is_ok());
        assert!(flow.received(1).is_err());
        assert!(flow.accepted(Dir::Uni).is_ok());
        assert_eq!(flow.released(Dir::Uni), Some(Capsule::MaxStreams(Dir::Uni, 2)));
    }
}
