//! The codecs of the core behind a pair of pipes, so that another implementation can be compared with them,
//! and byte-driven scenarios of the state machine for native fuzzing.
//!
//! # The protocol of `wt-codec-host`
//! All integers are unsigned and big-endian. The host reads batches from its standard input and writes one
//! answer for each to its standard output, in order, until the input ends (exit status 0; 1 for a batch that
//! breaks this layout).
//!
//! ```text
//! batch  = length:u32 count:u32 item*        length counts what follows it, at most 64 MiB
//! item   = op:u8 size:u32 payload:bytes[size]
//! answer = length:u32 count:u32 result*      count as in the batch
//! result = size:u32 json:bytes[size]         UTF-8
//! ```
//!
//! A result is a JSON object. It has either `"ok"` with the value, or `"error"` with the name of the HTTP/3
//! error code, or `"incomplete": true`. Bytes are lower-case hexadecimal strings.
//!
//! | op | name | payload | value |
//! |---|---|---|---|
//! | 1 | varint | any bytes | `{"value", "length"}` of the integer at the start |
//! | 2 | frames | a stream of frames | `{"frames": [{"type", "length", "payload"}], "boundary"}`; a frame that is cut off has what there is of it; type 0x41 has no length and ends the list with the rest of the stream |
//! | 3 | settings | role of the receiver (0 client, 1 server), then the payload of a SETTINGS frame | see [`settings`](codecs) |
//! | 4 | capsules | flags (bit 0 drain, 1 flow control, 2 prohibition, see `Known`), then a stream of capsules | `{"capsules": [...], "boundary"}` |
//! | 5 | fields | largest size as u64, then an encoded field section | `[[name, value]...]` as bytes |
//! | 6 | request | an encoded field section | the pseudo-header fields and `"headers"` |
//! | 7 | response | an encoded field section | `{"status", "headers"}` |
//! | 8 | datagram | the payload of a QUIC DATAGRAM frame | `{"session", "payload"}` |
//! | 9 | stream | role of the receiver (0 client, 1 server), stream ID as u64, fin (0 or 1), then the bytes of the stream | what an endpoint does that has an established draft-16 session on stream 0: `{"actions": [...], "events": [...]}` |
//! | 10 | to_application | wire code as u64 | the application's code or `null` |
//! | 11 | from_application | draft (2, 7, 14 or 16), code as u32 | the wire code |
//! | 12 | available_protocols | lines of the field, separated by 0x00 | list of strings |
//! | 13 | chosen_protocol | lines of the field, separated by 0x00 | string or `null` |
//! | 14 | scenario | see [`scenario`] | `null`; the process aborts if an invariant does not hold |
//! | 15 | compression | steps as JSON, see [`compression`] | one value for each step |
//! | 16 | any order | see [`compression::play`] | `null`; the process aborts if an invariant does not hold |
//!
//! A payload that is shorter than its op demands gives `"error": "BAD_ITEM"`, as does an unknown op.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod batch;
pub mod codecs;
pub mod compression;
pub mod invariants;
pub mod mutate;
pub mod reaction;
pub mod scenario;
pub mod targets;
