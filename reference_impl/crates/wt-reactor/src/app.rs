//! The application's handle of an endpoint.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wt_channel::{ConnectionFlow, SendFlow};
use wt_core::{AcceptOptions, ConnectRequest, Dir, Field, Role};

use crate::{
    config::{Config, Error},
    inbox::{Inbox, Read, ReadError, Sending, Stream},
    io::Reactor,
    message::{Command, ConnectionCommand, DATAGRAM_HEADROOM, Event, Handle},
    shared::Shared,
};

/// Why a call can't be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The connection, session or stream is gone.
    #[error("the {0} is gone")]
    Gone(&'static str),
    /// The endpoint has been closed, or its thread has failed.
    #[error("the endpoint is closed")]
    Closed,
    /// The stream takes no more data; the application's code of the peer, if there is one.
    #[error("the stream takes no more data")]
    Stopped(Option<u32>),
    /// An argument can't be sent.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Counters of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointStats {
    pub connections: u64,
    pub connections_total: u64,
    pub handshakes_refused: u64,
    pub retries_sent: u64,
    pub sessions: u64,
    /// QUIC streams that are not over in every respect, those of HTTP/3 included
    pub streams: u64,
    /// Streams that the application has not read to the end, ended or released
    pub stream_handles: u64,
    pub events_queued: u64,
    /// Because a queue was full, or the peer takes none
    pub datagrams_dropped: u64,
    /// Packets that the system refused to send
    pub send_errors: u64,
}

/// A client or server. Dropping it closes it.
#[derive(Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
    /// Of the application's threads only: the I/O thread never waits for it
    inbox: Mutex<Inbox>,
    config: Arc<Config>,
    local: Vec<SocketAddr>,
    /// Bytes read from a stream that are reported together
    report: usize,
}

impl Endpoint {
    /// Binds the sockets and starts the I/O thread.
    pub fn new(config: Config) -> Result<Self, Error> {
        let config = Arc::new(config);
        let shared = Shared::new(&config)?;
        let reactor = Reactor::new(config.clone(), shared.clone())?;
        let local = reactor.local_addresses();
        shared.spawn(move || reactor.run())?;
        let window = match config.core.initial_max_data {
            0 => u64::MAX,
            limit => limit,
        };
        let report = config.limits.stream_read_buffer.min(usize::try_from(window).unwrap_or(usize::MAX)) / 4;
        Ok(Self { shared, inbox: Mutex::default(), config, local, report })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the sockets are bound.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.local
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Appends up to `limit` messages' worth of events, without waiting. If there are more, the file
    /// descriptor stays readable.
    pub fn drain(&self, limit: usize, events: &mut Vec<Event>) {
        let messages = &self.shared.messages;
        let mut inbox = self.inbox();
        messages.drain(limit, |message| inbox.take(message, events));
        drop(inbox);
        if messages.pop_done() {
            self.shared.commands.notify();
        }
        if messages.is_empty() {
            events.extend(self.shared.take_end().map(|error| Event::EndpointClosed { error }));
        }
    }

    /// Blocks until there is something to drain. `false`: it took too long.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let messages = &self.shared.messages;
        if !messages.is_empty() {
            return true;
        }
        let timeout = timeout.and_then(|x| Timespec::try_from(x).ok());
        let mut fds = [PollFd::from_borrowed_fd(messages.as_fd(), PollFlags::IN)];
        matches!(poll(&mut fds, timeout.as_ref()), Ok(1))
    }

    fn command(&self, mut command: Command) -> Result<(), Failure> {
        let commands = &self.shared.commands;
        while let Err(back) = commands.push(command) {
            if self.shared.is_closed() {
                return Err(Failure::Closed);
            }
            // The I/O thread takes commands whatever else it waits for: this is soon over
            commands.flush();
            thread::sleep(Duration::from_micros(20));
            command = back;
        }
        commands.flush();
        if self.shared.is_closed() { Err(Failure::Closed) } else { Ok(()) }
    }

    fn of_connection(&self, connection: Handle, command: ConnectionCommand) -> Result<(), Failure> {
        self.command(Command::Connection { connection, command })
    }

    fn of_session(&self, session: Handle, command: ConnectionCommand) -> Result<(), Failure> {
        let connection = self.connection_of(session)?;
        self.of_connection(connection, command)
    }

    fn connection_of(&self, session: Handle) -> Result<Handle, Failure> {
        self.inbox().sessions.get(&session).copied().ok_or(Failure::Gone("session"))
    }

    fn check_connection(&self, connection: Handle) -> Result<(), Failure> {
        self.inbox().connections.contains_key(&connection).then_some(()).ok_or(Failure::Gone("connection"))
    }

    /// Client: starts a connection.
    pub fn connect(&self, address: SocketAddr, server_name: &str) -> Result<Handle, Failure> {
        if self.config.role != Role::Client {
            return Err(Failure::Invalid("the endpoint is a server"));
        }
        let (connection, flow) = (self.shared.new_handle(), Arc::<ConnectionFlow>::default());
        self.inbox().connections.insert(connection, flow.clone());
        let server_name = server_name.to_owned();
        self.command(Command::Connect { connection, address, server_name, flow })?;
        Ok(connection)
    }

    /// Closes a connection with an HTTP/3 code (RFC 9114 §8.1). With H3_NO_ERROR, its sessions are closed
    /// first.
    pub fn close_connection(&self, connection: Handle, code: u64, reason: &str) -> Result<(), Failure> {
        self.check_connection(connection)?;
        self.command(Command::CloseConnection { connection, code, reason: reason.to_owned() })
    }

    /// GOAWAY and WT_DRAIN_SESSION.
    pub fn goaway(&self, connection: Handle) -> Result<(), Failure> {
        self.check_connection(connection)?;
        self.command(Command::GoAway { connection })
    }

    /// Client: asks for a session; kept until the peer's SETTINGS have arrived.
    pub fn request_session(&self, connection: Handle, request: ConnectRequest) -> Result<Handle, Failure> {
        self.check_connection(connection)?;
        let session = self.shared.new_handle();
        self.inbox().sessions.insert(session, connection);
        let request = Box::new(request);
        self.of_connection(connection, ConnectionCommand::Request { session, request })?;
        Ok(session)
    }

    /// Server: accepts.
    pub fn accept_session(&self, session: Handle, options: AcceptOptions) -> Result<(), Failure> {
        self.of_session(session, ConnectionCommand::Accept { session, options: Box::new(options) })
    }

    /// Server: refuses, with a status that is not 1xx or 2xx. The handle is gone.
    pub fn reject_session(&self, session: Handle, status: u16, headers: Vec<Field>) -> Result<(), Failure> {
        if !(300..600).contains(&status) {
            return Err(Failure::Invalid("the status has to be 300 to 599"));
        }
        self.of_session(session, ConnectionCommand::Reject { session, status, headers })?;
        self.inbox().sessions.remove(&session);
        Ok(())
    }

    /// WT_CLOSE_SESSION.
    pub fn close_session(&self, session: Handle, code: u32, reason: &str) -> Result<(), Failure> {
        if reason.len() > 1024 {
            return Err(Failure::Invalid("the reason exceeds 1024 bytes"));
        }
        let reason = reason.to_owned();
        self.of_session(session, ConnectionCommand::CloseSession { session, code, reason })
    }

    /// WT_DRAIN_SESSION.
    pub fn drain_session(&self, session: Handle) -> Result<(), Failure> {
        self.of_session(session, ConnectionCommand::DrainSession { session })
    }

    /// Application code of the resets that answer the peer's STOP_SENDING; `None` copies the peer's.
    pub fn answer_stops_with(&self, session: Handle, code: Option<u32>) -> Result<(), Failure> {
        self.of_session(session, ConnectionCommand::AnswerStops { session, code })
    }

    fn flow_of(&self, session: Handle) -> Result<(Handle, Arc<ConnectionFlow>), Failure> {
        let inbox = self.inbox();
        let connection = *inbox.sessions.get(&session).ok_or(Failure::Gone("session"))?;
        let flow = inbox.connections.get(&connection).ok_or(Failure::Gone("connection"))?;
        Ok((connection, flow.clone()))
    }

    /// Largest payload of a datagram at present; 0: none.
    pub fn max_datagram_size(&self, session: Handle) -> Result<usize, Failure> {
        let (_, flow) = self.flow_of(session)?;
        Ok(flow.max_datagram.load(Relaxed).saturating_sub(DATAGRAM_HEADROOM))
    }

    /// Queues a datagram. `false`: it is dropped since too much is queued.
    pub fn send_datagram(&self, session: Handle, payload: &[u8]) -> Result<bool, Failure> {
        let (connection, flow) = self.flow_of(session)?;
        if payload.len() > flow.max_datagram.load(Relaxed).saturating_sub(DATAGRAM_HEADROOM) {
            return Err(Failure::Invalid("the datagram is too large"));
        }
        if flow.datagrams_out.load(Relaxed) >= self.config.transport.datagram_send_buffer {
            return Ok(false);
        }
        flow.datagrams_out.fetch_add(payload.len(), Relaxed);
        let mut data = BytesMut::with_capacity(DATAGRAM_HEADROOM + payload.len());
        data.extend_from_slice(&[0; DATAGRAM_HEADROOM]);
        data.extend_from_slice(payload);
        self.of_connection(connection, ConnectionCommand::Datagram { session, data })?;
        Ok(true)
    }

    /// Opens a stream; it may be written at once.
    pub fn open_stream(&self, session: Handle, dir: Dir) -> Result<Handle, Failure> {
        let (stream, flow) = (self.shared.new_handle(), Arc::<SendFlow>::default());
        let mut inbox = self.inbox();
        let connection = *inbox.sessions.get(&session).ok_or(Failure::Gone("session"))?;
        inbox.streams.insert(stream, Stream::new(connection, Some(flow.clone()), dir == Dir::Bidi));
        drop(inbox);
        self.of_connection(connection, ConnectionCommand::Open { session, stream, dir, flow })?;
        Ok(stream)
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
        self.of_connection(connection, ConnectionCommand::Write { stream, data, fin })?;
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
        self.of_connection(connection, ConnectionCommand::Reset { stream, code })
    }

    /// Takes up to `limit` bytes that have arrived.
    pub fn read(&self, stream: Handle, limit: usize) -> Result<Result<Read, ReadError>, Failure> {
        let mut inbox = self.inbox();
        let x = inbox.streams.get_mut(&stream).ok_or(Failure::Gone("stream"))?;
        let result = x.read(limit);
        let (connection, report) = (x.connection, x.report(self.report));
        if !matches!(result, Ok(Read::Data(_) | Read::Nothing)) {
            inbox.forget_if_done(stream);
        }
        drop(inbox);
        if let Some(bytes) = report {
            // If the endpoint is closed, nobody wants to know
            let _ = self.of_connection(connection, ConnectionCommand::Consumed { stream, bytes });
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
        self.of_connection(connection, ConnectionCommand::Stop { stream, code })
    }

    /// Forgets the stream, and abandons what has not ended of it.
    pub fn release(&self, stream: Handle) {
        let Some(x) = self.inbox().streams.remove(&stream) else { return };
        if matches!(x.sending, Sending::Open(_)) {
            let _ = self.of_connection(x.connection, ConnectionCommand::Reset { stream, code: 0 });
        }
        // Even if it has ended: it may hold unread bytes, whose credit is due
        let _ = self.of_connection(x.connection, ConnectionCommand::Stop { stream, code: 0 });
    }

    /// TLS exporter (-16 §4.8); answered by an event with the token.
    pub fn export_keying_material(
        &self,
        session: Handle,
        label: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<Handle, Failure> {
        if label.len() > 255 || context.len() > 255 {
            return Err(Failure::Invalid("label and context have at most 255 bytes"));
        }
        // What HKDF-Expand can give with SHA-256 (RFC 5869 §2.3)
        if !(1..=255 * 32).contains(&length) {
            return Err(Failure::Invalid("the length has to be 1 to 8160"));
        }
        let (label, context, token) = (label.to_vec(), context.to_vec(), self.shared.new_handle());
        self.of_session(session, ConnectionCommand::Export { session, token, label, context, length })?;
        Ok(token)
    }

    /// Answered by an event with the token.
    pub fn connection_stats(&self, connection: Handle) -> Result<Handle, Failure> {
        self.check_connection(connection)?;
        let token = self.shared.new_handle();
        self.of_connection(connection, ConnectionCommand::Stats { token })?;
        Ok(token)
    }

    /// Counters.
    pub fn stats(&self) -> EndpointStats {
        let counters = &self.shared.counters;
        EndpointStats {
            connections: counters.connections.load(Relaxed),
            connections_total: counters.connections_total.load(Relaxed),
            handshakes_refused: counters.handshakes_refused.load(Relaxed),
            retries_sent: counters.retries_sent.load(Relaxed),
            sessions: counters.sessions.load(Relaxed),
            streams: counters.streams.load(Relaxed),
            stream_handles: self.inbox().streams.len() as u64,
            events_queued: self.shared.messages.len() as u64,
            datagrams_dropped: counters.datagrams_dropped.load(Relaxed),
            send_errors: counters.send_errors.load(Relaxed),
        }
    }

    /// Closes all sessions and connections and ends the thread within about `timeout`.
    pub fn close(&self, code: u64, reason: &str, timeout: Duration) {
        // If it is closed already, that is what was wanted
        let _ = self.command(Command::Shutdown { code, reason: reason.to_owned(), timeout });
    }

    /// Waits for the thread to end. `false`: it took too long.
    pub fn join(&self, timeout: Option<Duration>) -> bool {
        self.shared.join(timeout)
    }
}

impl AsFd for Endpoint {
    /// Readable when there is something to drain.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.messages.as_fd()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close(0x100, "", Duration::from_secs(1));
    }
}
