//! All interleavings of those who sleep and those who wake them.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p wt-channel --release --test loom`
//!
//! Loom takes sequentially consistent accesses for acquire and release ones, so that it reports a lost wake-up for
//! a protocol that relies on the former, though the language rules it out. This one needs no more than the latter.
#![cfg(loom)]
#![allow(clippy::unwrap_used)]

use loom::{
    model::Builder,
    sync::{Arc, Mutex},
    thread,
};
use wt_channel::{Channel, ConnectionFlow, SendFlow, model::Wake};

fn check(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// The application's side: batches of limited size, and sleep in between.
fn consume(channel: &Channel<usize>, limit: usize, count: usize) {
    let mut expected = 0;
    while expected < count {
        channel.drain(limit, |x| {
            assert_eq!(x, expected);
            expected += 1;
        });
        if expected < count {
            channel.wait();
        }
    }
}

#[test]
fn the_application_is_woken() {
    for limit in [1, 2, 4] {
        check(3, move || {
            let channel = Arc::new(Channel::new(4).unwrap());
            let there = channel.clone();
            let io = thread::spawn(move || {
                for x in 0..3 {
                    there.push(x).unwrap();
                    there.flush();
                }
            });
            consume(&channel, limit, 3);
            io.join().unwrap();
        });
    }
}

/// The I/O thread's side: it sleeps on its descriptor, and wakes for other reasons too.
#[test]
fn the_io_thread_is_woken() {
    check(3, || {
        let commands = Arc::new(Channel::new(4).unwrap());
        let there = commands.clone();
        let application = thread::spawn(move || {
            for x in 0..2 {
                there.push(x).unwrap();
                there.flush();
            }
            // As after a batch of events, whether or not there are commands
            there.notify();
        });
        let mut expected = 0;
        while expected < 2 {
            while let Some(x) = commands.pop() {
                assert_eq!(x, expected);
                expected += 1;
            }
            if expected < 2 && commands.arm() {
                commands.wait();
                commands.disarm();
                commands.clear();
            }
        }
        application.join().unwrap();
    });
}

/// Commands that the application carries out itself where the I/O thread sleeps.
#[test]
fn whoever_claims_acts_or_wakes() {
    const COUNT: usize = 2;
    /// Whether there is nothing left to do
    fn act(commands: &Channel<usize>, done: &mut usize) -> bool {
        while let Some(x) = commands.pop() {
            assert_eq!(x, *done);
            *done += 1;
        }
        *done < COUNT && commands.arm()
    }
    check(3, || {
        let (commands, state) = (Arc::new(Channel::new(4).unwrap()), Arc::new(Mutex::new(0)));
        let (there, state_there) = (commands.clone(), state.clone());
        let application = thread::spawn(move || {
            for x in 0..COUNT {
                there.push(x).unwrap();
                if there.claim() && !state_there.try_lock().is_ok_and(|mut x| act(&there, &mut x)) {
                    there.notify();
                }
            }
        });
        loop {
            let mut state = state.lock().unwrap();
            let idle = act(&commands, &mut state);
            if *state == COUNT {
                break;
            }
            drop(state);
            if idle {
                commands.wait();
                commands.disarm();
                commands.clear();
            }
        }
        application.join().unwrap();
    });
}

/// A full queue: the producer sleeps, and is woken once there is room.
#[test]
fn a_starving_producer_is_woken() {
    check(3, || {
        let channel = Arc::new(Channel::new(1).unwrap());
        let room = Arc::new(Wake::new().unwrap());
        let (there, room_there) = (channel.clone(), room.clone());
        let io = thread::spawn(move || {
            for mut x in 0..3 {
                while let Err(back) = there.push(x) {
                    x = back;
                    if there.starve() {
                        there.flush();
                        room_there.wait();
                        room_there.clear();
                    }
                }
                there.flush();
            }
        });
        let mut expected = 0;
        while expected < 3 {
            channel.drain(2, |x| {
                assert_eq!(x, expected);
                expected += 1;
            });
            if channel.pop_done() {
                room.notify();
            }
            if expected < 3 {
                channel.wait();
            }
        }
        io.join().unwrap();
    });
}

/// Room in the buffer of a stream.
#[test]
fn a_writer_is_told_of_room() {
    check(4, || {
        let (flow, told) = (Arc::new(SendFlow::default()), Arc::new(Wake::new().unwrap()));
        assert!(flow.reserve(2, 2));
        let (flow_there, told_there) = (flow.clone(), told.clone());
        let io = thread::spawn(move || {
            for _ in 0..2 {
                if flow_there.release(1, 2) {
                    told_there.notify();
                }
            }
        });
        while !flow.reserve(1, 2) {
            told.wait();
            told.clear();
        }
        io.join().unwrap();
    });
}

/// Room in the application for streams of the peer. Here the I/O thread is the one that waits.
#[test]
fn the_io_thread_is_told_of_room_for_streams() {
    check(4, || {
        let (flow, told) = (Arc::new(ConnectionFlow::default()), Arc::new(Wake::new().unwrap()));
        (0..2).for_each(|_| flow.give_stream());
        let (flow_there, told_there) = (flow.clone(), told.clone());
        let application = thread::spawn(move || {
            for _ in 0..2 {
                if flow_there.take_stream_back(2) {
                    told_there.notify();
                }
            }
        });
        while !flow.has_room(2) {
            told.wait();
            told.clear();
        }
        application.join().unwrap();
    });
}

/// The acknowledgement of all that was sent.
#[test]
fn a_watcher_is_told_of_the_end() {
    check(4, || {
        let (flow, told) = (Arc::new(SendFlow::default()), Arc::new(Wake::new().unwrap()));
        let (flow_there, told_there) = (flow.clone(), told.clone());
        let io = thread::spawn(move || {
            if flow_there.finish() {
                told_there.notify();
            }
        });
        if !flow.watch() {
            told.wait();
        }
        io.join().unwrap();
    });
}
