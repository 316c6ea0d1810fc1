//! Bounded lock-free queue with one wake-up per batch.
//!
//! The consumer sleeps on a file descriptor, which a producer makes readable only if the consumer sleeps: a busy
//! consumer is never disturbed (see [`Signal`]). The way back works alike: a producer that found the queue full
//! is woken after the consumer's next batch.

use std::io;
#[cfg(not(loom))]
use std::os::fd::{AsFd, BorrowedFd};

#[cfg(not(loom))]
use crossbeam_queue::ArrayQueue;

#[cfg(loom)]
use crate::model::{ArrayQueue, Wake};
use crate::signal::Signal;
#[cfg(not(loom))]
use crate::wake::Wake;

/// Any number of producers, one consumer.
#[derive(Debug)]
pub struct Channel<T> {
    queue: ArrayQueue<T>,
    consumer: Signal,
    producer: Signal,
    wake: Wake,
}

impl<T> Channel<T> {
    /// Room for `slots` elements, at least one.
    pub fn new(slots: usize) -> io::Result<Self> {
        Ok(Self {
            queue: ArrayQueue::new(slots.max(1)),
            consumer: Signal::new(true),
            producer: Signal::new(false),
            wake: Wake::new()?,
        })
    }

    /// Producer: appends without waking anybody. Gives the element back if there is no room.
    pub fn push(&self, element: T) -> Result<(), T> {
        self.queue.push(element)
    }

    /// Producer: wakes the consumer if it sleeps.
    pub fn flush(&self) {
        if self.claim() {
            self.notify();
        }
    }

    /// Producer: whether the consumer sleeps. Whoever gets `true` has to wake it by [`Channel::notify`], or to do
    /// its work and then [`Channel::arm`] for it.
    #[must_use]
    pub fn claim(&self) -> bool {
        self.consumer.lower()
    }

    /// Whether the consumer slept a moment ago; nothing follows from it.
    pub fn is_awaited(&self) -> bool {
        self.consumer.is_up()
    }

    /// Producer: there was no room; [`Channel::pop_done`] shall return `true` once there is.
    /// The result is `false` if there is room again already.
    pub fn starve(&self) -> bool {
        self.producer.arm(|| !self.queue.is_full())
    }

    /// Consumer: the next element.
    pub fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Consumer: takes up to `limit` elements, and leaves the descriptor such that it can be waited for: it is
    /// readable if there are more, and becomes so with the next.
    pub fn drain(&self, limit: usize, mut take: impl FnMut(T)) {
        self.clear();
        let mut count = 0;
        loop {
            while count < limit {
                let Some(element) = self.pop() else { break };
                take(element);
                count += 1;
            }
            // Even if the limit is what ended it: the queue may be empty all the same
            if self.arm() {
                return;
            }
            if count >= limit {
                return self.notify();
            }
        }
    }

    /// Consumer: after a batch of `pop`s. Whether a producer waits for room.
    pub fn pop_done(&self) -> bool {
        self.producer.lower()
    }

    /// Consumer: about to sleep on the descriptor. `false`: don't, there is something.
    pub fn arm(&self) -> bool {
        self.consumer.arm(|| !self.queue.is_empty())
    }

    /// Consumer: woke up for another reason.
    pub fn disarm(&self) {
        self.consumer.disarm();
    }

    /// Consumer: makes the descriptor unreadable.
    pub fn clear(&self) {
        self.wake.clear();
    }

    /// Makes the descriptor readable in any case.
    pub fn notify(&self) {
        self.wake.notify();
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(loom)]
impl<T> Channel<T> {
    /// Consumer: sleeps until the descriptor is readable.
    pub fn wait(&self) {
        self.wake.wait();
    }
}

#[cfg(not(loom))]
impl<T> AsFd for Channel<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn readable(channel: &Channel<u32>) -> bool {
        let mut fds = [PollFd::new(channel, PollFlags::IN)];
        poll(&mut fds, Some(&Default::default())).unwrap() == 1
    }

    #[test]
    fn one_wake_up_per_batch() {
        let channel = Channel::new(4).unwrap();
        channel.push(1).unwrap();
        assert!(!readable(&channel));
        channel.flush();
        assert!(readable(&channel));
        channel.clear();
        channel.push(2).unwrap();
        channel.flush();
        assert!(!readable(&channel), "the consumer has not slept since");
        assert_eq!((channel.pop(), channel.pop(), channel.pop()), (Some(1), Some(2), None));
        assert!(channel.arm());
        channel.push(3).unwrap();
        channel.flush();
        assert!(readable(&channel));
        assert!(!channel.arm(), "there is something");
    }

    /// Once lost: the consumer took as many as it may and the queue was empty then, so that nobody was to wake it
    #[test]
    fn a_batch_that_empties_the_queue_is_followed_by_a_wake_up() {
        let channel = Channel::new(4).unwrap();
        for round in 0..3 {
            channel.push(round).unwrap();
            channel.flush();
            assert!(readable(&channel));
            let mut taken = Vec::new();
            channel.drain(1, |x| taken.push(x));
            assert_eq!(taken, [round]);
            assert!(!readable(&channel));
        }
        channel.push(3).unwrap();
        channel.push(4).unwrap();
        channel.flush();
        channel.drain(1, drop);
        assert!(readable(&channel), "there is one more");
    }

    #[test]
    fn full_queue_and_way_back() {
        let channel = Channel::new(1).unwrap();
        channel.push(1).unwrap();
        assert_eq!(channel.push(2), Err(2));
        assert!(channel.starve());
        assert_eq!(channel.pop(), Some(1));
        assert!(channel.pop_done());
        assert!(!channel.pop_done());
        assert!(!channel.starve());
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        const COUNT: u32 = 100_000;
        let channel = Channel::new(16).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for mut x in 0..COUNT {
                    while let Err(back) = channel.push(x) {
                        x = back;
                        channel.flush();
                        std::thread::yield_now();
                    }
                    channel.flush();
                }
            });
            let mut expected = 0;
            while expected < COUNT {
                while let Some(x) = channel.pop() {
                    assert_eq!(x, expected);
                    expected += 1;
                }
                if expected < COUNT && channel.arm() {
                    poll(&mut [PollFd::new(&channel, PollFlags::IN)], None).unwrap();
                    channel.clear();
                    channel.disarm();
                }
            }
        });
    }
}
