//! Bounded lock-free queue with one wake-up per batch.
//!
//! The consumer sleeps on a file descriptor. It *arms* the channel before it does and looks into the queue once
//! more; the producer disarms it after pushing and, only if it was armed, makes the descriptor readable. All of
//! these are sequentially consistent, so that one of the two sees the other: no wake-up is lost, and a busy
//! consumer is never disturbed. The way back works alike: a producer that found the queue full is woken by the
//! consumer's next batch.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use crossbeam_queue::ArrayQueue;

use crate::wake::Wake;

/// Any number of producers, one consumer.
#[derive(Debug)]
pub struct Channel<T> {
    queue: ArrayQueue<T>,
    armed: AtomicBool,
    starved: AtomicBool,
    wake: Wake,
}

impl<T> Channel<T> {
    /// Room for `slots` elements, at least one.
    pub fn new(slots: usize) -> io::Result<Self> {
        Ok(Self {
            queue: ArrayQueue::new(slots.max(1)),
            armed: AtomicBool::new(true),
            starved: AtomicBool::new(false),
            wake: Wake::new()?,
        })
    }

    /// Producer: appends without waking anybody. Gives the element back if there is no room.
    pub fn push(&self, element: T) -> Result<(), T> {
        self.queue.push(element)
    }

    /// Producer: wakes the consumer if it sleeps.
    pub fn flush(&self) {
        if self.armed.swap(false, SeqCst) {
            self.wake.notify();
        }
    }

    /// Producer: there was no room; [`Channel::pop_done`] shall return `true` once there is.
    /// The result is `false` if there is room again already.
    pub fn starve(&self) -> bool {
        self.starved.store(true, SeqCst);
        self.queue.is_full()
    }

    /// Consumer: the next element.
    pub fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Consumer: after a batch of `pop`s. Whether a producer waits for room.
    pub fn pop_done(&self) -> bool {
        self.starved.load(SeqCst) && self.starved.swap(false, SeqCst)
    }

    /// Consumer: about to sleep on the descriptor. `false`: don't, there is something.
    pub fn arm(&self) -> bool {
        self.armed.store(true, SeqCst);
        if self.queue.is_empty() {
            return true;
        }
        self.armed.store(false, SeqCst);
        false
    }

    /// Consumer: woke up for another reason.
    pub fn disarm(&self) {
        self.armed.store(false, SeqCst);
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

impl<T> AsFd for Channel<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
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
