//! A file descriptor that one thread makes readable to wake another.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// An eventfd, or a pipe where the system has none. Becomes readable by [`Wake::notify`].
#[derive(Debug)]
pub struct Wake {
    read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
}

impl Wake {
    /// Not readable at first.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self { read: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)? })
    }

    /// Not readable at first.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Self> {
        use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
        let (read, write) = rustix::pipe::pipe()?;
        for fd in [&read, &write] {
            fcntl_setfd(fd, FdFlags::CLOEXEC)?;
            ioctl_fionbio(fd, true)?;
        }
        Ok(Self { read, write })
    }

    /// Makes the descriptor readable. A full counter or pipe is readable already.
    pub fn notify(&self) {
        #[cfg(target_os = "linux")]
        let write = &self.read;
        #[cfg(not(target_os = "linux"))]
        let write = &self.write;
        let _ = rustix::io::write(write, &1u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable again.
    pub fn clear(&self) {
        let mut buffer = [0; 64];
        while matches!(rustix::io::read(&self.read, &mut buffer), Ok(n) if n == buffer.len()) {}
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}
