//! How an application's threads and an I/O thread talk to each other.
//!
//! [`Channel`] is a bounded queue with one wake-up per batch; its elements lie in crossbeam's `ArrayQueue`, which
//! is lock-free. [`SendFlow`] is the backpressure of one stream, [`ConnectionFlow`] that of a connection's
//! datagrams, [`Opens`] says which streams need not wait. Who wakes whom is checked over all interleavings by `tests/loom.rs`, with a queue and a descriptor
//! made of loom's parts ([`model`]); the code in between is the same.

mod channel;
mod flow;
#[cfg(loom)]
pub mod model;
mod opens;
mod signal;
mod sync;
#[cfg(not(loom))]
mod wake;

pub use channel::Channel;
pub use flow::{ConnectionFlow, SendFlow};
pub use opens::{Opens, Place, SessionFlow};
#[cfg(not(loom))]
pub use wake::Wake;
