//! Drives the QUIC engine and the WebTransport state machine: sockets, timers, one thread per endpoint
