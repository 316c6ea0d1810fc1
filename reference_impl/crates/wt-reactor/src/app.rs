//! The application's handle of an endpoint.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wt_channel::{ConnectionFlow, SessionFlow};
use wt_core::{AcceptOptions, ConnectRequest, Field, Role};

use crate::{
    config::{Config, Error},
    hand_over::{ANSWERS, Later, Queued},
    inbox::{Inbox, Session},
    io::{Driver, Reactor},
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
    /// Times that a thread of the application did what the I/O thread would have been woken for
    pub application_rounds: u64,
}

/// A client or server. Dropping it closes it.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) shared: Arc<Shared>,
    pub(crate) driver: Arc<Driver>,
    /// Of the application's threads only: the I/O thread never waits for it
    inbox: Mutex<Inbox>,
    pub(crate) config: Arc<Config>,
    local: Vec<SocketAddr>,
    /// Bytes read from a stream that are reported together
    pub(crate) report: usize,
    pub(crate) later: OnceLock<Later>,
    /// Commands that the I/O thread was not woken for
    pub(crate) deferred: AtomicUsize,
    /// How often the application may still act for the I/O thread, before it is told something new
    pub(crate) answers: AtomicUsize,
}

impl Endpoint {
    /// Binds the sockets and starts the I/O thread.
    pub fn new(config: Config) -> Result<Self, Error> {
        let config = Arc::new(config);
        let shared = Shared::new(&config)?;
        let driver = Arc::new(Driver::new(Reactor::new(config.clone(), shared.clone())?, shared.clone()));
        let (local, sockets) = (driver.local_addresses(), driver.descriptors()?);
        let runs = driver.clone();
        shared.spawn(move || runs.run(&sockets))?;
        let window = match config.core.initial_max_data {
            0 => u64::MAX,
            limit => limit,
        };
        let report = config.limits.stream_read_buffer.min(usize::try_from(window).unwrap_or(usize::MAX)) / 4;
        Ok(Self {
            shared,
            driver,
            inbox: Mutex::new(Inbox {
                max_pending_streams: config.max_pending_streams(),
                ..Inbox::default()
            }),
            config,
            local,
            report,
            later: OnceLock::new(),
            deferred: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
        })
    }

    pub(crate) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the I/O thread has ended. `EndpointClosed` may not have been drained yet.
    pub fn has_ended(&self) -> bool {
        self.shared.is_closed()
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
        self.answers.store(ANSWERS, Relaxed);
        self.receive();
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
        let mut fds = [PollFd::new(self, PollFlags::IN)];
        matches!(poll(&mut fds, timeout.as_ref()), Ok(1))
    }

    fn of_session(&self, session: Handle, command: ConnectionCommand) -> Result<(), Failure> {
        let connection = self.connection_of(session)?;
        self.of_connection(connection, command)
    }

    fn connection_of(&self, session: Handle) -> Result<Handle, Failure> {
        self.inbox().sessions.get(&session).map(|x| x.connection).ok_or(Failure::Gone("session"))
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

    /// Server: refuses all connections from now on (CONNECTION_REFUSED); those there are go on.
    pub fn stop_accepting(&self) -> Result<(), Failure> {
        self.command(Command::StopAccepting)
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
        let opens = Arc::<SessionFlow>::default();
        self.inbox().sessions.insert(session, Session { connection, opens: opens.clone() });
        let request = Box::new(request);
        self.of_connection(connection, ConnectionCommand::Request { session, request, opens })?;
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
        let connection = inbox.sessions.get(&session).ok_or(Failure::Gone("session"))?.connection;
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
        let queued = self.queue_datagram(session, payload)?;
        if queued == Queued::Now {
            self.flush();
        }
        Ok(queued != Queued::Dropped)
    }

    /// Queues a datagram; the caller has to [`Endpoint::flush`] for [`Queued::Now`].
    pub fn queue_datagram(&self, session: Handle, payload: &[u8]) -> Result<Queued, Failure> {
        let (connection, flow) = self.flow_of(session)?;
        if payload.len() > flow.max_datagram.load(Relaxed).saturating_sub(DATAGRAM_HEADROOM) {
            return Err(Failure::Invalid("the datagram is too large"));
        }
        if flow.datagrams_out.load(Relaxed) >= self.config.transport.datagram_send_buffer {
            return Ok(Queued::Dropped);
        }
        flow.datagrams_out.fetch_add(payload.len(), Relaxed);
        let mut data = BytesMut::with_capacity(DATAGRAM_HEADROOM + payload.len());
        data.extend_from_slice(&[0; DATAGRAM_HEADROOM]);
        data.extend_from_slice(payload);
        self.of_datagram(connection, ConnectionCommand::Datagram { session, data })
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

    /// Limits of flow control; answered by an event with the token.
    pub fn session_limits(&self, session: Handle) -> Result<Handle, Failure> {
        let token = self.shared.new_handle();
        self.of_session(session, ConnectionCommand::Limits { session, token })?;
        Ok(token)
    }

    /// Answered by an event with the token.
    pub fn connection_stats(&self, connection: Handle) -> Result<Handle, Failure> {
        self.check_connection(connection)?;
        let token = self.shared.new_handle();
        self.of_connection(connection, ConnectionCommand::Stats { token })?;
        Ok(token)
    }

    /// Has the I/O thread fail, for tests of what that leads to.
    #[cfg(any(test, feature = "panic-hook"))]
    pub fn panic(&self) -> Result<(), Failure> {
        self.command(Command::Panic)
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
            application_rounds: counters.application_rounds.load(Relaxed),
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
        self.shared.watch.fd(&self.shared.messages)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close(0x100, "", Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A fault of ours is a clear end: for whoever waits, and for whoever calls later.
    #[test]
    fn a_panic_ends_the_endpoint_with_its_reason() {
        // Of the I/O thread, and of the application's, to which this is an answer, and which acts by itself then
        panics(|_| ());
        panics(|endpoint| endpoint.drain(1, &mut Vec::new()));
    }

    fn panics(before: impl FnOnce(&Endpoint)) {
        let mut config = Config::new(Role::Client);
        config.bind = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let endpoint = Endpoint::new(config).unwrap();
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let connection = endpoint.connect(silent.local_addr().unwrap(), "localhost").unwrap();
        let waiting = thread::scope(|scope| {
            let waiting = scope.spawn(|| endpoint.wait(None));
            before(&endpoint);
            endpoint.panic().unwrap_or_else(|error| assert_eq!(error, Failure::Closed));
            waiting.join().unwrap()
        });
        assert!(waiting && endpoint.join(None));
        let mut events = Vec::new();
        while events.is_empty() {
            endpoint.drain(10, &mut events);
        }
        let [Event::EndpointClosed { error: Some(error) }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(error, "internal error: asked for");
        assert_eq!(endpoint.close_connection(connection, 0x100, ""), Err(Failure::Closed));
        assert_eq!(endpoint.connect(silent.local_addr().unwrap(), "x"), Err(Failure::Closed));
    }
}
