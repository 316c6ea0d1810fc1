//! What a connection has to do in time, and why it ended.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wt_quic::{ConnectionError, TransportErrorCode};

use super::{connection::Connection, sink::Sink};
use crate::message::{ConnectionEnd, ConnectionEndSource};

/// HTTP/3 ends without an error (RFC 9114 §8.1).
pub(super) const H3_NO_ERROR: u64 = 0x100;

impl Connection {
    /// What the peer has to do next, and how long it may take from the first packet on. A client that has
    /// finished the handshake still owes its SETTINGS (RFC 9114 §6.2.1) and a request.
    fn awaited(&self) -> Option<(&'static str, Duration)> {
        let transport = &self.config.transport;
        if self.ended {
            None
        } else if self.quic.is_handshaking() {
            Some(("the handshake took", transport.handshake_timeout))
        } else if self.quic.side().is_client() {
            None
        } else if self.core.settings().1.is_none() {
            Some(("the client's SETTINGS took", transport.handshake_timeout))
        } else if !self.core.was_asked() {
            transport.first_request_timeout.map(|limit| ("the first request took", limit))
        } else {
            None
        }
    }

    pub(super) fn check_deadlines(&mut self, now: Instant, sink: &mut Sink) {
        if let Some((what, limit)) = self.awaited()
            && now.saturating_duration_since(self.begun) >= limit
        {
            let reason = format!("{what} longer than {} s", limit.as_secs_f64());
            // Nobody speaks HTTP/3 yet during the handshake
            let (code, text) = match self.quic.is_handshaking() {
                true => (0, Bytes::new()),
                false => (H3_NO_ERROR, reason.clone().into()),
            };
            self.quic.close(now, super::code(code), text);
            self.end(ConnectionEnd { source: ConnectionEndSource::Timeout, code, reason }, sink);
        }
        if let Some((deadline, code, reason)) = &self.close_deadline
            && (now >= *deadline || self.core.is_quiescent())
        {
            let (code, reason) = (*code, reason.clone());
            self.close_now(now, code, reason, sink);
        }
    }

    /// When to be served again at the latest.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let awaited = self.awaited().and_then(|(_, limit)| self.begun.checked_add(limit));
        let close = self.close_deadline.as_ref().map(|x| x.0);
        [self.quic.poll_timeout(), awaited, close].into_iter().flatten().min()
    }

    /// The idle time-out that both sides have agreed on (RFC 9000 §10.1).
    fn idle_timeout(&self) -> Option<Duration> {
        let theirs = self.quic.peer_transport_parameters();
        let theirs = theirs.iter().find(|x| x.0 == "max_idle_timeout").map(|x| Duration::from_millis(x.1));
        [self.config.transport.idle_timeout, theirs].into_iter().flatten().filter(|x| !x.is_zero()).min()
    }

    pub(super) fn describe(&self, error: ConnectionError) -> ConnectionEnd {
        use ConnectionEndSource as Source;
        let crypto = |code: u64| (0x100..0x200).contains(&code);
        let text = error.to_string();
        let (source, code, reason) = match error {
            ConnectionError::VersionMismatch => (Source::Version, 0, text),
            ConnectionError::TransportError(error) => {
                let code = u64::from(error.code);
                (if crypto(code) { Source::Tls } else { Source::Error }, code, text)
            }
            ConnectionError::ConnectionClosed(frame) => {
                let code = u64::from(frame.error_code);
                let source = match frame.error_code {
                    TransportErrorCode::CONNECTION_REFUSED => Source::Refused,
                    _ if crypto(code) => Source::Tls,
                    _ => Source::Transport,
                };
                (source, code, String::from_utf8_lossy(&frame.reason).into_owned())
            }
            ConnectionError::ApplicationClosed(frame) => {
                let reason = String::from_utf8_lossy(&frame.reason).into_owned();
                (Source::Application, frame.error_code.into_inner(), reason)
            }
            ConnectionError::Reset => (Source::Reset, 0, text),
            ConnectionError::TimedOut => {
                let time = self.idle_timeout().map(|x| format!(" for {} s", x.as_secs_f64()));
                let time = time.unwrap_or_default();
                (Source::Timeout, 0, format!("connection timed out: nothing was received{time}"))
            }
            ConnectionError::LocallyClosed => (Source::Local, 0, text),
            ConnectionError::CidsExhausted => (Source::Error, 0, text),
        };
        ConnectionEnd { source, code, reason }
    }
}
