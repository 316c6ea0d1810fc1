//! What the application does with streams.

use std::{sync::Arc, thread, time::Duration};

use bytes::Bytes;
use wt_channel::{SendFlow, SessionFlow};
use wt_core::Dir;

use crate::{
    app::{Endpoint, Failure},
    inbox::{Read, ReadError, Sending, Stream},
    message::{ConnectionCommand, Handle},
};

/// How often it is looked whether a stream has its ID: about a second
const PATIENCE: usize = 20_000;
/// Writes of so many bytes are worth a wake-up of their own
const LARGE: usize = 16 << 10;
/// So many bytes are not sent by the application's thread
const SIZABLE: usize = 4 << 10;

/// Knows the QUIC stream ID of a stream, also once the stream is gone (see [`Endpoint::stream_id`]).
#[derive(Debug)]
pub struct Placed(Arc<SendFlow>);

impl Endpoint {
    /// Opens a stream; it may be written at once. `StreamOpened` follows, or `StreamFailed`.
    pub fn open_stream(&self, session: Handle, dir: Dir) -> Result<Handle, Failure> {
        self.session(session)?.opens[dir as usize].start();
        self.open(session, dir, false).map(|x| x.0)
    }

    /// Opens a stream if it need not wait for the peer's limits; no event says that it is opened.
    pub fn open_stream_at_once(
        &self,
        session: Handle,
        dir: Dir,
    ) -> Result<Option<(Handle, Placed)>, Failure> {
        if !self.session(session)?.opens[dir as usize].try_start() {
            return Ok(None);
        }
        self.open(session, dir, true).map(Some)
    }

    fn session(&self, session: Handle) -> Result<Arc<SessionFlow>, Failure> {
        self.inbox().sessions.get(&session).map(|x| x.opens.clone()).ok_or(Failure::Gone("session"))
    }

    fn open(&self, session: Handle, dir: Dir, quiet: bool) -> Result<(Handle, Placed), Failure> {
        let (stream, flow) = (self.shared.new_handle(), Arc::<SendFlow>::default());
        let mut inbox = self.inbox();
        let connection = inbox.sessions.get(&session).ok_or(Failure::Gone("session"))?.connection;
        inbox.streams.insert(stream, Stream::new(connection, Some(flow.clone()), dir == Dir::Bidi));
        drop(inbox);
        self.of_data(
            connection,
            ConnectionCommand::Open { session, stream, dir, flow: flow.clone(), quiet },
        )?;
        Ok((stream, Placed(flow)))
    }

    /// QUIC stream ID of a stream that was opened at once. Waits for the I/O thread to come to it, which it does
    /// whatever else it waits for; `None` if the stream can't be had, or in vain.
    pub fn stream_id(&self, Placed(flow): &Placed) -> Option<u64> {
        for _ in 0..PATIENCE {
            if let Some(id) = flow.place.get() {
                return id;
            }
            if self.shared.is_closed() {
                return None;
            }
            self.flush();
            thread::sleep(Duration::from_micros(20));
        }
        None
    }

    /// Takes all of `data`, with `fin` as the end of the stream. `false`: takes nothing, `Writable` follows.
    pub fn write(&self, stream: Handle, data: Bytes, fin: bool) -> Result<bool, Failure> {
        let mut inbox = self.inbox();
        let x = inbox.streams.get_mut(&stream).ok_or(Failure::Gone("stream"))?;
        let connection = x.connection;
        match &x.sending {
            Sending::Ended(code) => return Err(Failure::Stopped(*code)),
            Sending::Open(flow) => {
                if !data.is_empty() && !flow.reserve(data.len(), self.config.limits.stream_write_buffer) {
                    return Ok(false);
                }
            }
        }
        if fin {
            x.sending = Sending::Ended(None);
            inbox.forget_if_done(stream);
        }
        drop(inbox);
        let large = data.len() >= LARGE;
        if data.len() >= SIZABLE {
            self.leave_to_io();
        }
        self.of_data(connection, ConnectionCommand::Write { stream, data, fin })?;
        if large {
            self.flush();
        }
        Ok(true)
    }

    /// Wants the event `StreamFinished`. `true`: everything up to FIN was acknowledged already.
    pub fn watch_finished(&self, stream: Handle) -> Result<bool, Failure> {
        let inbox = self.inbox();
        let x = inbox.streams.get(&stream).ok_or(Failure::Gone("stream"))?;
        x.flow.as_ref().map(|x| x.watch()).ok_or(Failure::Invalid("a stream of the peer's only"))
    }

    /// Abandons the sending direction. Nothing happens if it has ended.
    pub fn reset(&self, stream: Handle, code: u32) -> Result<(), Failure> {
        let mut inbox = self.inbox();
        let x = inbox.streams.get_mut(&stream).ok_or(Failure::Gone("stream"))?;
        let connection = x.connection;
        // Also after FIN, as long as that is not acknowledged
        x.sending = Sending::Ended(None);
        inbox.forget_if_done(stream);
        drop(inbox);
        self.of_data(connection, ConnectionCommand::Reset { stream, code })
    }

    /// Takes up to `limit` bytes that have arrived.
    pub fn read(&self, stream: Handle, limit: usize) -> Result<Result<Read, ReadError>, Failure> {
        let mut inbox = self.inbox();
        let x = inbox.streams.get_mut(&stream).ok_or(Failure::Gone("stream"))?;
        let result = x.read(limit);
        let (connection, mut report) = (x.connection, x.report(self.report));
        if !matches!(result, Ok(Read::Data(_) | Read::Nothing)) && inbox.forget_if_done(stream) {
            report = report.or(Some(0));
        }
        drop(inbox);
        if let Some(bytes) = report {
            // If the endpoint is closed, nobody wants to know
            let _ = self.of_data(connection, ConnectionCommand::Consumed { stream, bytes });
        }
        Ok(result)
    }

    /// Bytes that `read` would give.
    pub fn buffered(&self, stream: Handle) -> Result<usize, Failure> {
        self.inbox().streams.get(&stream).map(|x| x.buffered).ok_or(Failure::Gone("stream"))
    }

    /// Abandons the receiving direction. Nothing happens if it has ended.
    pub fn stop(&self, stream: Handle, code: u32) -> Result<(), Failure> {
        let mut inbox = self.inbox();
        let x = inbox.streams.get_mut(&stream).ok_or(Failure::Gone("stream"))?;
        let connection = x.connection;
        x.stop();
        inbox.forget_if_done(stream);
        drop(inbox);
        self.of_data(connection, ConnectionCommand::Stop { stream, code })
    }

    /// Forgets the stream, and abandons what has not ended of it.
    pub fn release(&self, stream: Handle) {
        let Some((x, _)) = self.inbox().remove(stream) else { return };
        if matches!(x.sending, Sending::Open(_)) {
            let _ = self.of_data(x.connection, ConnectionCommand::Reset { stream, code: 0 });
        }
        // Even if it has ended: it may hold unread bytes, whose credit is due
        let _ = self.of_data(x.connection, ConnectionCommand::Stop { stream, code: 0 });
    }
}
