//! What the application waits for: events, and the sockets while they are lent to it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    },
};

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

#[cfg(target_os = "linux")]
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use wt_channel::Channel;

use crate::message::Message;

/// The descriptor that the application waits for. On systems without epoll it is that of the events, and nothing
/// is ever lent.
#[derive(Debug)]
pub(crate) struct Watch {
    #[cfg(target_os = "linux")]
    set: OwnedFd,
    lent: AtomicBool,
}

impl Watch {
    /// For the events at first.
    pub(crate) fn new(messages: &Channel<Message>) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        #[cfg(target_os = "linux")]
        epoll::add(&set, messages, EventData::new_u64(0), EventFlags::IN)?;
        #[cfg(not(target_os = "linux"))]
        let _ = messages;
        Ok(Self {
            #[cfg(target_os = "linux")]
            set,
            lent: AtomicBool::new(false),
        })
    }

    /// The descriptor.
    pub(crate) fn fd<'a>(&'a self, messages: &'a Channel<Message>) -> BorrowedFd<'a> {
        #[cfg(target_os = "linux")]
        let _ = messages;
        #[cfg(target_os = "linux")]
        return self.set.as_fd();
        #[cfg(not(target_os = "linux"))]
        return messages.as_fd();
    }

    /// Whether the application is to read the sockets.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent.load(Acquire)
    }

    /// `true`: the application is now woken by the sockets, too.
    #[cfg(target_os = "linux")]
    pub(crate) fn lend<S: AsFd>(&self, sockets: &[S]) -> bool {
        let added =
            sockets.iter().all(|x| epoll::add(&self.set, x, EventData::new_u64(1), EventFlags::IN).is_ok());
        self.lent.store(added, Release);
        if !added {
            self.take_back(sockets);
        }
        added
    }

    /// `true`: the application is now woken by the sockets, too.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn lend<S: AsFd>(&self, _: &[S]) -> bool {
        false
    }

    /// The application is no longer woken by the sockets.
    pub(crate) fn take_back<S: AsFd>(&self, sockets: &[S]) {
        self.lent.store(false, Release);
        #[cfg(target_os = "linux")]
        for socket in sockets {
            // One that was not added is as good as removed
            let _ = epoll::delete(&self.set, socket);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = sockets;
    }
}
