//! WebTransport endpoints: the QUIC engine, the state machine and UDP on one I/O thread each.
//!
//! An [`Endpoint`] is the application's side. Its methods may be called from any thread and never wait for the
//! network; they become commands in a bounded lock-free queue. What happens comes back as [`Event`]s through
//! another ([`Endpoint::drain`]), with one wake-up of a file descriptor per batch. Bytes of streams go from
//! QUIC's buffers to the application's without being copied, and QUIC's flow control gives the peer credit for
//! what the application has taken, not for what has arrived.

mod app;
mod app_streams;
mod config;
mod hand_over;
mod inbox;
mod io;
mod message;
mod shared;
mod tls;
mod watch;

pub use app::{Endpoint, EndpointStats, Failure};
pub use app_streams::Placed;
pub use config::{Config, Congestion, Error, Limits, Qlog, Tls, Transport, Verify};
pub use hand_over::Queued;
pub use inbox::{Read, ReadError};
pub use message::{
    Answer, ConnectionEnd, ConnectionEndSource, ConnectionInfo, End, Event, Handle, Negotiated,
    SessionEndSource, SessionInfo,
};
pub use tls::{certificate_hash, generate_self_signed};
pub use wt_core::settings::Limits as FlowLimits;
pub use wt_core::{AcceptOptions, ConnectRequest, Dir, Draft, Field, Role, SessionLimits, SessionRequest};
pub use wt_quic::ConnectionStats;
