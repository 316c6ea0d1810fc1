//! Bytes from QUIC to the application, or to the core.

use std::{collections::VecDeque, mem};

use bytes::Bytes;
use wt_core::{Feed, Input};
use wt_quic::ReadError;

use super::{connection::Connection, sink::Sink, stream::Reader};
use crate::message::{End, Handle, Message};

/// Bytes that are read at once from a stream whose owner is not known yet
const FIRST_READ: usize = 4096;
/// Shorter pieces are copied, so that they don't hold on to the memory of a whole batch of packets
const SMALL: usize = 1024;
/// Bytes that are read at once for the application, so that other streams get their turn
const READ: usize = 512 << 10;

impl Connection {
    /// Remembers to read the stream in this round.
    pub(super) fn mark_readable(&mut self, handle: Handle) {
        if let Some(stream) = self.streams.get_mut(&handle)
            && !mem::replace(&mut stream.is_readable, true)
        {
            self.readable.push_back(handle);
        }
    }

    /// Reads the streams that have something. Those of the core come last, so that the end of a session does
    /// not overtake data that was there before.
    pub(super) fn read_streams(&mut self, sink: &mut Sink) {
        let mut core = Vec::new();
        let mut later = VecDeque::new();
        while let Some(handle) = self.readable.pop_front() {
            let Some(stream) = self.streams.get_mut(&handle) else { continue };
            if sink.is_congested() {
                later.push_back(handle);
            } else if stream.reader == Reader::Core {
                core.push(handle);
            } else {
                stream.is_readable = false;
                self.read_stream(handle, sink);
            }
        }
        for handle in core {
            if let Some(stream) = self.streams.get_mut(&handle) {
                stream.is_readable = false;
                self.read_stream(handle, sink);
            }
        }
        later.append(&mut self.readable);
        self.readable = later;
    }

    fn read_stream(&mut self, handle: Handle, sink: &mut Sink) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        let room = match stream.reader {
            Reader::Core => FIRST_READ,
            Reader::Discard => usize::MAX,
            Reader::Application => {
                let limits = &self.config.limits;
                let window = self.config.transport.receive_window as usize;
                let room = limits.stream_read_buffer.saturating_sub(stream.outstanding);
                let room = room.min(window.saturating_sub(self.outstanding)).min(READ);
                if room == 0 {
                    // What arrives meanwhile changes nothing
                    stream.is_readable = true;
                    self.paused.push(handle);
                    return;
                }
                room
            }
            Reader::Hold => {
                // The core keeps a reset for the session, as it keeps the bytes
                if let Ok(Some(code)) = self.quic.recv_stream(stream.id).received_reset() {
                    self.core_reset(handle, code.into_inner(), sink);
                }
                return;
            }
            Reader::Done => return,
        };
        let (mut chunks, mut got, mut end) = (Vec::new(), 0, None);
        let mut more = true;
        {
            let mut recv = self.quic.recv_stream(stream.id);
            let Ok(mut read) = recv.read(true) else { return };
            while got < room {
                match read.next(room - got) {
                    Ok(Some(chunk)) => {
                        got += chunk.bytes.len();
                        if stream.reader != Reader::Discard {
                            let small = chunk.bytes.len() < SMALL || stream.reader == Reader::Core;
                            let bytes = chunk.bytes;
                            chunks.push(if small { Bytes::copy_from_slice(&bytes) } else { bytes });
                        }
                        continue;
                    }
                    Ok(None) => end = Some(None),
                    Err(ReadError::Reset(code)) => end = Some(Some(code.into_inner())),
                    Err(ReadError::Blocked) => {}
                }
                more = false;
                break;
            }
            let _ = read.finalize();
        }
        match stream.reader {
            Reader::Application => self.deliver(handle, chunks, end, sink),
            Reader::Core => self.feed(handle, chunks.into(), end, sink),
            _ if end.is_some() => {
                stream.reader = Reader::Done;
                self.forget_if_done(handle);
            }
            _ => {}
        }
        if more {
            self.mark_readable(handle);
        }
    }

    /// Gives bytes to the core until it says whose they are.
    fn feed(
        &mut self,
        handle: Handle,
        mut chunks: VecDeque<Bytes>,
        end: Option<Option<u64>>,
        sink: &mut Sink,
    ) {
        let fin = end == Some(None);
        loop {
            let Some(stream) = self.streams.get_mut(&handle) else { return };
            match stream.reader {
                Reader::Core => {}
                Reader::Hold => {
                    stream.held = chunks;
                    stream.held_end = end;
                    return;
                }
                Reader::Application => return self.deliver(handle, chunks.into(), end, sink),
                Reader::Discard | Reader::Done => {
                    if end.is_some() {
                        stream.reader = Reader::Done;
                    }
                    return self.forget_if_done(handle);
                }
            }
            let id = wt_core::StreamId(stream.id.into());
            let (data, last) = match chunks.pop_front() {
                Some(data) => (data, chunks.is_empty() && fin),
                None if fin => (Bytes::new(), true),
                None => {
                    if let Some(Some(code)) = end {
                        stream.reader = Reader::Done;
                        self.core_reset(handle, code, sink);
                    }
                    return;
                }
            };
            let feed = self.input(Input::StreamData { stream: id, data, fin: last });
            if let Some(stream) = self.streams.get_mut(&handle)
                && stream.reader == Reader::Core
            {
                stream.reader = match feed {
                    // Also a whole stream waits for its session: the core knows its end
                    Feed::Hold => Reader::Hold,
                    _ if last => Reader::Done,
                    Feed::Core => Reader::Core,
                    // Set by the event that goes with it
                    Feed::Application => Reader::Core,
                    Feed::Discard => Reader::Discard,
                };
            }
            self.pump(sink);
            if last {
                return self.forget_if_done(handle);
            }
        }
    }

    fn core_reset(&mut self, handle: Handle, code: u64, sink: &mut Sink) {
        let Some(stream) = self.streams.get(&handle) else { return };
        let (stream, final_size) = (wt_core::StreamId(stream.id.into()), stream.final_size);
        self.input(Input::StreamReset { stream, code, final_size });
        self.pump(sink);
        self.forget_if_done(handle);
    }

    /// The peer's bytes on a stream that it reset, or that is not read any more, are counted.
    pub(super) fn final_size(&mut self, handle: Handle, size: u64, sink: &mut Sink) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        stream.final_size = Some(size);
        if mem::take(&mut stream.awaits_final_size) {
            // The code says nothing to anybody any more
            self.core_reset(handle, 0, sink);
        }
    }

    /// Gives bytes to the application. `end`: FIN, or a reset with its code on the wire.
    pub(super) fn deliver(
        &mut self,
        handle: Handle,
        chunks: Vec<Bytes>,
        end: Option<Option<u64>>,
        sink: &mut Sink,
    ) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        let id = wt_core::StreamId(stream.id.into());
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        let fin = end == Some(None);
        if bytes > 0 && !self.core.body_received(id, bytes as u64) {
            // The session is being closed for it
            return self.pump(sink);
        }
        if bytes > 0 || fin {
            stream.outstanding += bytes;
            self.outstanding += bytes;
            if fin {
                stream.end_reading();
            }
            let end = fin.then_some(End::Fin);
            sink.message(Message::Data { stream: handle, chunks, end });
            self.consumed(handle, 0);
        }
        if let Some(Some(code)) = end {
            if let Some(stream) = self.streams.get_mut(&handle) {
                stream.reader = Reader::Done;
            }
            self.core_reset(handle, code, sink);
        }
    }

    /// First bytes of an incoming stream, which the core read with the header: accounted for already.
    pub(super) fn deliver_first(&mut self, handle: Handle, body: Bytes, fin: bool, sink: &mut Sink) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        stream.outstanding += body.len();
        self.outstanding += body.len();
        if fin {
            stream.end_reading();
        }
        if !body.is_empty() || fin {
            let end = fin.then_some(End::Fin);
            sink.message(Message::Data { stream: handle, chunks: vec![body], end });
            self.consumed(handle, 0);
        }
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        let (held, end) = (mem::take(&mut stream.held), stream.held_end.take());
        if !held.is_empty() || end.is_some() {
            self.deliver(handle, held.into(), end, sink);
        }
        self.mark_readable(handle);
    }

    /// The application has taken bytes out of its buffer.
    pub(super) fn consumed(&mut self, handle: Handle, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        let bytes = bytes.min(stream.outstanding);
        stream.outstanding -= bytes;
        self.outstanding -= bytes;
        self.core.body_consumed(wt_core::StreamId(stream.id.into()), bytes as u64);
        if stream.outstanding == 0 && mem::take(&mut stream.fin_read) {
            // Only now is the core told, which then forgets the stream
            self.core.recv_closed(wt_core::StreamId(stream.id.into()));
        }
        self.forget_if_done(handle);
        self.readable.extend(self.paused.drain(..));
    }

    /// Nobody reads the stream any more.
    pub(super) fn stop_reading(&mut self, handle: Handle, code: u64) {
        let Some(stream) = self.streams.get_mut(&handle) else { return };
        // What is discarded is stopped all the same: the peer shall learn why
        if stream.reader != Reader::Done {
            stream.reader = Reader::Done;
            let stopped = self.quic.recv_stream(stream.id).stop(super::code(code)).is_ok();
            let id = wt_core::StreamId(stream.id.into());
            stream.awaits_final_size = stopped && self.core.session_of(id).is_some();
        }
        stream.held.clear();
        let outstanding = stream.outstanding;
        self.consumed(handle, outstanding);
        self.forget_if_done(handle);
    }
}
