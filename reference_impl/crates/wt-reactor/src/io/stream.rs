//! One stream, between QUIC and the application or the core.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use wt_channel::SendFlow;
use wt_quic::StreamId;

use crate::message::Handle;

/// Who reads a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// The state machine
    Core,
    /// Nobody until the session is known
    Hold,
    Application,
    /// Nobody, what comes is dropped
    Discard,
    /// Nobody, nothing comes any more
    Done,
}

/// How far the sending direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Takes data
    Open,
    /// FIN was handed to QUIC, and is not acknowledged yet
    Finished,
    /// Nothing is to be sent, or waited for
    Done,
}

/// What is to be done with QUIC once everything reliable was handed to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingReset {
    pub(super) code: u64,
    pub(super) reliable_size: u64,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    /// Session's handle; 0 while the core owns the stream
    pub(super) session: Handle,
    pub(super) reader: Reader,
    /// In the list of streams to read
    pub(super) is_readable: bool,
    /// Bytes given to the application and not consumed yet
    pub(super) outstanding: usize,
    /// Bytes that the peer sent, known if it reset the stream
    pub(super) final_size: Option<u64>,
    /// The core wants to know how much the peer sent on a stream that is not read any more
    pub(super) awaits_final_size: bool,
    /// FIN was read, and the core is not told yet
    pub(super) fin_read: bool,
    /// The application waits for an end of this direction
    pub(super) app_reads: bool,
    /// What was read before it was known for whom
    pub(super) held: VecDeque<Bytes>,
    pub(super) held_end: Option<Option<u64>>,
    pub(super) sender: Sender,
    /// The application waits for an end of this direction, too
    pub(super) app_writes: bool,
    /// Not part of the body
    pub(super) header: Bytes,
    /// Bytes handed to QUIC, header included
    pub(super) sent: u64,
    pub(super) queue: VecDeque<Bytes>,
    pub(super) fin: bool,
    pub(super) reset: Option<PendingReset>,
    pub(super) flow: Option<Arc<SendFlow>>,
    /// Waits for session flow control
    pub(super) wants_credit: bool,
}

impl Stream {
    /// A stream that is neither read nor written as yet.
    pub(super) fn new(id: StreamId, reader: Reader, sender: Sender) -> Self {
        Self {
            id,
            session: 0,
            reader,
            is_readable: false,
            outstanding: 0,
            final_size: None,
            awaits_final_size: false,
            fin_read: false,
            app_reads: false,
            held: VecDeque::new(),
            held_end: None,
            sender,
            app_writes: false,
            header: Bytes::new(),
            sent: 0,
            queue: VecDeque::new(),
            fin: false,
            reset: None,
            flow: None,
            wants_credit: false,
        }
    }

    /// Gives the stream to the application.
    pub(super) fn adopt(&mut self, session: Handle, header: Bytes, flow: Option<Arc<SendFlow>>) {
        self.session = session;
        self.header = header;
        self.app_writes = flow.is_some();
        self.flow = flow;
        if !matches!(self.reader, Reader::Discard | Reader::Done) {
            self.reader = Reader::Application;
            self.app_reads = true;
        }
    }

    pub(super) fn push(&mut self, data: Bytes, fin: bool) {
        if !data.is_empty() {
            self.queue.push_back(data);
        }
        self.fin |= fin;
    }

    /// FIN was read.
    pub(super) fn end_reading(&mut self) {
        self.reader = Reader::Done;
        self.fin_read = true;
        self.app_reads = false;
    }

    pub(super) fn is_done(&self) -> bool {
        !self.awaits_final_size
            && self.sender == Sender::Done
            && self.outstanding == 0
            && !self.app_reads
            && !self.app_writes
            && self.reader == Reader::Done
    }
}
