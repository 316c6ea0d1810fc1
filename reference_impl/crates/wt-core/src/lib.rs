//! HTTP/3 and WebTransport as a state machine without I/O, clock or threads.
//!
//! The driver owns the QUIC connection and a [`Connection`]. It reports what happens with
//! [`Connection::handle`], carries out what [`Connection::poll_action`] returns, in order, and passes the
//! results of [`Connection::poll_event`] to the application. All three after every call of any method.
//!
//! # Streams
//! The driver reads every stream that the peer opens and feeds it ([`Input::StreamData`]) until the answer is
//! something else than [`Feed::Core`]. Streams of a session are then the driver's own: it moves their bytes
//! between QUIC and the application, and the core only keeps the accounts ([`Connection::body_received`],
//! [`Connection::body_consumed`], [`Connection::send_credit`], [`Connection::body_sent`]), which do nothing
//! where session flow control is off.
//!
//! A stream of ours: [`Connection::check_open`], open it in QUIC, [`Connection::bind_stream`], write the header
//! that it returns, then the body. A session of ours: [`Connection::check_connect`], open a bidirectional
//! stream, [`Connection::connect`]; the driver feeds what it reads there.
//!
//! The endpoint says with [`Connection::send_closed`] and [`Connection::recv_closed`] when a FIN was handed to
//! QUIC or read; resets are seen by the core anyway. When both sides of a stream are done it is forgotten.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// Nothing that a peer sends may end in a panic; tests may
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

mod api;
pub mod capsule;
pub mod code;
mod config;
mod connection;
pub mod datagram;
mod drafts;
mod early;
pub mod fields;
mod flow;
pub mod frame;
mod gone;
mod ids;
pub mod protocols;
pub mod qpack;
pub mod settings;
pub mod tlv;
pub mod varint;

pub use api::*;
pub use config::{Config, RememberedSettings};
pub use connection::{Connection, EXPORTER_LABEL};
pub use drafts::{Draft, DraftFacts, FlowSwitch, Pooling, UnofferedProtocol};
pub use ids::{Dir, Role, SessionId, StreamId};
