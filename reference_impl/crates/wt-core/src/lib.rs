//! HTTP/3 and WebTransport as a state machine without I/O
#![forbid(unsafe_code)]
