//! Bytes from the application, or from the core, to QUIC.

use bytes::Buf;
use wt_quic::WriteError;

use super::{
    connection::Connection,
    sink::Sink,
    stream::{PendingReset, Sender},
};
use crate::message::{Event, Handle};

impl Connection {
    /// Hands to QUIC what it takes.
    pub(super) fn write_stream(&mut self, handle: Handle, sink: &mut Sink) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        if stream.sender != Sender::Open {
            return;
        }
        let id = wt_core::StreamId(stream.id.into());
        let mut quic = self.quic.send_stream(stream.id);
        while !stream.header.is_empty() {
            match quic.write_chunks(std::slice::from_mut(&mut stream.header)) {
                Ok(written) => stream.sent += written.bytes as u64,
                Err(WriteError::Blocked) => return,
                Err(_) => return self.drop_queue(handle, sink),
            }
        }
        let (mut body, mut dropped) = (0, false);
        let mut credit = if stream.app_writes { self.core.send_credit(id) } else { u64::MAX };
        while let Some(front) = stream.queue.front_mut() {
            if credit == 0 {
                stream.wants_credit = true;
                self.core.blocked(id);
                break;
            }
            let mut piece = front.slice(..front.len().min(usize::try_from(credit).unwrap_or(usize::MAX)));
            match quic.write_chunks(std::slice::from_mut(&mut piece)) {
                Ok(written) => {
                    front.advance(written.bytes);
                    body += written.bytes;
                    credit -= written.bytes as u64;
                    if front.is_empty() {
                        stream.queue.pop_front();
                    }
                }
                Err(WriteError::Blocked) => break,
                Err(_) => {
                    dropped = true;
                    break;
                }
            }
        }
        stream.sent += body as u64;
        let finish = stream.queue.is_empty() && stream.fin && !dropped;
        if finish {
            stream.sender = if quic.finish().is_ok() { Sender::Finished } else { Sender::Done };
        }
        if stream.app_writes && body > 0 {
            self.core.body_sent(id, body as u64);
        }
        let limit = self.config.limits.stream_write_buffer;
        if stream.flow.as_ref().is_some_and(|x| x.release(body, limit)) {
            sink.event(Event::Writable { stream: handle });
        }
        if finish {
            if stream.app_writes {
                stream.app_writes = false;
                self.core.send_closed(id);
            }
            self.forget_if_done(handle);
        } else if dropped {
            self.drop_queue(handle, sink);
        }
    }

    /// What waits to be sent won't be.
    fn drop_queue(&mut self, handle: Handle, sink: &mut Sink) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        let bytes = stream.queue.drain(..).map(|x| x.len()).sum();
        stream.fin = false;
        let limit = self.config.limits.stream_write_buffer;
        if stream.flow.as_ref().is_some_and(|x| x.release(bytes, limit)) {
            sink.event(Event::Writable { stream: handle });
        }
    }

    /// RESET_STREAM, or with a reliable size RESET_STREAM_AT as soon as QUIC has that much.
    pub(super) fn reset_stream(&mut self, handle: Handle, code: u64, reliable_size: u64, sink: &mut Sink) {
        self.drop_queue(handle, sink);
        if let Some(stream) = self.streams.get_mut(&handle)
            && (stream.reset.is_none() || reliable_size == 0)
        {
            stream.reset = Some(PendingReset { code, reliable_size });
        }
        self.carry_reset_on(handle, sink);
    }

    pub(super) fn carry_reset_on(&mut self, handle: Handle, sink: &mut Sink) {
        if self.streams.get(&handle).is_some_and(|x| x.reset.is_some()) {
            self.write_stream(handle, sink);
        }
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        let Some(PendingReset { code, reliable_size }) = stream.reset else { return };
        if stream.sent < reliable_size && stream.sender == Sender::Open {
            // The header waits for QUIC's flow control
            return;
        }
        stream.reset = None;
        let mut quic = self.quic.send_stream(stream.id);
        let code = super::code(code);
        if reliable_size == 0 || quic.reset_at(code, reliable_size).is_err() {
            // An error says that the stream has ended already
            let _ = quic.reset(code);
        }
        stream.sender = Sender::Done;
        self.forget_if_done(handle);
    }

    /// Everything was acknowledged.
    pub(super) fn finished(&mut self, handle: Handle, sink: &mut Sink) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        stream.sender = Sender::Done;
        if stream.flow.as_ref().is_some_and(|x| x.finish()) {
            sink.event(Event::StreamFinished { stream: handle });
        }
        self.forget_if_done(handle);
    }

    pub(super) fn forget_if_done(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.get(&handle)
            && stream.is_done()
        {
            self.by_id.remove(&stream.id);
            self.streams.remove(&handle);
        }
    }
}
