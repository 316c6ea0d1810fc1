//! The reactor: one endpoint's sockets, timers and connections.
//!
//! A round takes the commands of the application, what the sockets have, and the timers that are due, lets each
//! connection concerned act on it once, sends, and wakes the application at most once.

mod admission;
mod commands;
mod connection;
mod driver;
mod ending;
mod loan;
mod opens;
mod read;
mod receive;
mod sessions;
mod setup;
mod sink;
mod socket;
mod stream;
mod timers;
mod trace_records;
mod traces;
mod write;

use std::{
    io, mem,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use rustix::event::PollFlags;
use wt_core::Role;
use wt_quic::{ClientConfig, ConnectionHandle, Endpoint, ServerConfig, TransportConfig, VarInt};

pub(crate) use self::driver::Driver;
use self::{
    admission::Admission,
    connection::Connection,
    driver::Sleep,
    loan::Loan,
    sink::Sink,
    socket::{ReceiveBuffers, Socket},
    timers::Timers,
    traces::{Trace, Traces},
};
use crate::{
    config::Config,
    message::{Command, ConnectionEnd, ConnectionEndSource, Event, Handle},
    shared::Shared,
};

/// Commands that are taken in one round
const COMMANDS: usize = 1024;

pub(crate) struct Reactor {
    shared: Arc<Shared>,
    sockets: Vec<Socket>,
    endpoint: Endpoint,
    client: Option<ClientConfig>,
    server: Option<Arc<ServerConfig>>,
    config: Arc<Config>,
    core: Arc<wt_core::Config>,
    sink: Sink,
    /// In boxes: a table keeps the room of its largest number of entries, and these take kilobytes
    connections: FxHashMap<Handle, Box<Connection>>,
    handles: FxHashMap<ConnectionHandle, Handle>,
    timers: Timers,
    admission: Admission,
    traces: Option<Traces>,
    /// Connections that have something to do in this round
    ready: Vec<Handle>,
    /// Memory to receive into
    buffers: Option<Box<ReceiveBuffers>>,
    /// Memory to put packets together in
    packet: Vec<u8>,
    loan: Loan,
    /// Until when the I/O thread sleeps, while it does
    asleep: Option<Option<Instant>>,
    shutdown: Option<Shutdown>,
}

struct Shutdown {
    code: u64,
    reason: Bytes,
    deadline: Instant,
    closed: bool,
}

impl Reactor {
    pub(crate) fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(Socket::local).collect()
    }

    /// The sockets once more.
    fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().map(|x| x.as_fd().try_clone_to_owned()).collect()
    }

    /// The I/O thread's part, until there is nothing to do. `None`: the endpoint is closed.
    fn work(&mut self, readable: &[bool]) -> Option<Sleep> {
        self.asleep = None;
        let mut ask_all = self.call_loan_in(Instant::now());
        // What the system has said nothing of is asked only where it was not asked
        for (socket, readable) in self.sockets.iter_mut().zip(readable) {
            socket.is_readable = *readable;
        }
        let waited_for = readable.contains(&true) && self.shared.messages.is_awaited();
        loop {
            let now = Instant::now();
            let busy = self.round(now, ask_all);
            if !ask_all {
                self.consider_loan(now, waited_for);
            }
            if self.is_done(now) {
                self.end_loan();
                return None;
            }
            if !busy && (self.ready.is_empty() || self.is_stuck()) && self.shared.commands.arm() {
                return Some(self.sleep());
            }
            ask_all = true;
        }
    }

    /// A round of the application's thread. `false`: the I/O thread has to be woken.
    fn turn(&mut self, receive: bool) -> bool {
        // Not yet asleep for the first time, or about to wake up
        let Some(until) = self.asleep else { return false };
        let now = Instant::now();
        self.shared.counters.application_rounds.fetch_add(1, Relaxed);
        self.sockets.iter_mut().for_each(|x| x.is_readable = receive);
        let mut more = self.round(now, false) || !self.ready.is_empty() || self.shutdown.is_some();
        more |= self.is_stuck() || self.sink.is_congested() || receive && !self.use_loan();
        if more {
            self.end_loan();
            return false;
        }
        let too_late = self.timers.next().is_some_and(|x| until.is_none_or(|until| x < until));
        !too_late && self.shared.commands.arm()
    }

    /// Whether there may be more to take or to receive.
    fn round(&mut self, now: Instant, ask_all: bool) -> bool {
        self.resume();
        self.sockets.iter_mut().for_each(|x| x.packets = 0);
        let mut busy = self.commands(now);
        for index in 0..self.sockets.len() {
            if ask_all || self.sockets[index].is_readable {
                busy |= self.receive(now, index);
            }
        }
        self.expire(now);
        self.serve(now);
        let errors = self.sockets.iter().map(|x| x.send_errors).sum();
        self.shared.counters.send_errors.store(errors, Relaxed);
        self.sink.flush();
        busy
    }

    /// Something cannot be sent at present.
    fn is_stuck(&self) -> bool {
        self.sockets.iter().any(Socket::is_blocked)
    }

    /// After the application caught up: each connection may have something that it held back.
    fn resume(&mut self) {
        if self.sink.is_congested() {
            self.sink.flush();
            if !self.sink.is_congested() {
                self.connections.values_mut().for_each(|x| x.is_ready = true);
                self.ready = self.connections.keys().copied().collect();
            }
        }
    }

    fn commands(&mut self, now: Instant) -> bool {
        for _ in 0..COMMANDS {
            let Some(command) = self.shared.commands.pop() else { return false };
            self.command(now, command);
        }
        true
    }

    fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Connection { connection, command } => {
                if let Some(x) = self.connections.get_mut(&connection) {
                    x.command(now, command, &mut self.sink);
                    if !mem::replace(&mut x.is_ready, true) {
                        self.ready.push(connection);
                    }
                } else {
                    commands::refuse_command(command, "the connection has ended", &mut self.sink);
                }
            }
            Command::Connect { connection, address, server_name, flow } => {
                if let Err(reason) = self.connect(now, connection, address, &server_name, flow) {
                    let end = ConnectionEnd { source: ConnectionEndSource::Local, code: 0, reason };
                    self.sink.event(Event::ConnectionClosed { connection, end: Box::new(end) });
                }
            }
            Command::CloseConnection { connection, code, reason } => {
                self.with(connection, |x, sink| x.close(now, code, reason.into(), sink));
            }
            #[cfg(any(test, feature = "panic-hook"))]
            Command::Panic => panic!("asked for"),
            Command::StopAccepting => self.admission.close(),
            Command::GoAway { connection } => self.with(connection, |x, sink| x.goaway(sink)),
            Command::Shutdown { code, reason, timeout } => {
                if self.shutdown.is_none() {
                    let (reason, deadline) = (Bytes::from(reason), now + timeout);
                    self.endpoint.set_server_config(None);
                    for handle in self.connections.keys().copied().collect::<Vec<_>>() {
                        self.with(handle, |x, sink| x.close_sessions(sink));
                    }
                    self.shutdown = Some(Shutdown { code, reason, deadline, closed: false });
                }
            }
        }
    }

    fn with(&mut self, handle: Handle, action: impl FnOnce(&mut Connection, &mut Sink)) {
        if let Some(connection) = self.connections.get_mut(&handle) {
            action(connection, &mut self.sink);
            if !mem::replace(&mut connection.is_ready, true) {
                self.ready.push(handle);
            }
        }
    }

    fn connect(
        &mut self,
        now: Instant,
        handle: Handle,
        address: SocketAddr,
        server_name: &str,
        flow: Arc<wt_channel::ConnectionFlow>,
    ) -> Result<(), String> {
        let mut config = self.client.clone().ok_or("the endpoint is a server")?;
        if self.shutdown.is_some() {
            return Err("the endpoint is being closed".to_owned());
        }
        if self.connections.len() >= self.config.limits.max_connections {
            return Err("max_connections is reached".to_owned());
        }
        let (socket, address) = self
            .sockets
            .iter()
            .enumerate()
            .find_map(|(index, socket)| Some((index, socket.reach(address)?)))
            .ok_or("no socket for this kind of address")?;
        let trace = self.trace(handle);
        if let Some((transport, _)) = &trace {
            config.transport_config(transport.clone());
        }
        let (quic_handle, quic) =
            self.endpoint.connect(now, config, address, server_name).map_err(|e| e.to_string())?;
        let core = wt_core::Connection::new(self.core.clone(), Role::Client);
        let mut connection =
            Connection::new(handle, quic_handle, quic, core, self.config.clone(), flow, socket, now);
        connection.trace = trace.map(|x| x.1);
        self.insert(connection);
        Ok(())
    }

    /// A connection's trace, and the configuration of QUIC that goes with it, where there are traces.
    fn trace(&mut self, handle: Handle) -> Option<(Arc<TransportConfig>, Trace)> {
        self.traces.as_mut()?.transport(&self.config.transport, handle)
    }

    fn insert(&mut self, mut connection: Connection) {
        connection.is_ready = true;
        self.ready.push(connection.handle);
        self.handles.insert(connection.quic_handle, connection.handle);
        self.connections.insert(connection.handle, Box::new(connection));
        let counters = &self.shared.counters;
        counters.connections.store(self.connections.len() as u64, Relaxed);
        counters.connections_total.fetch_add(1, Relaxed);
    }

    fn expire(&mut self, now: Instant) {
        while let Some((time, handle)) = self.timers.due(now) {
            let Some(x) = self.connections.get_mut(&handle) else { continue };
            if x.timer == Some(time) {
                x.timer = None;
                if !mem::replace(&mut x.is_ready, true) {
                    self.ready.push(handle);
                }
            }
        }
    }

    /// Lets each connection that is ready act and send.
    fn serve(&mut self, now: Instant) {
        for index in 0..self.sockets.len() {
            if self.sockets[index].is_blocked() && !self.sockets[index].unblock() {
                // Nothing can be sent: try again when the socket is writable
                return;
            }
        }
        for handle in mem::take(&mut self.ready) {
            let Some(x) = self.connections.get_mut(&handle) else { continue };
            x.is_ready = false;
            let more = x.serve(now, &mut self.endpoint, &mut self.sink)
                | x.transmit(now, &mut self.sockets, &mut self.packet);
            let streams = &self.shared.counters.streams;
            streams.fetch_add(x.streams.len() as u64, Relaxed);
            streams.fetch_sub(mem::replace(&mut x.counted_streams, x.streams.len()) as u64, Relaxed);
            if x.admitted_from.is_some()
                && !x.quic.is_handshaking()
                && let Some(from) = x.admitted_from.take()
            {
                self.admission.end(from);
            }
            if x.quic.is_drained() {
                self.handles.remove(&x.quic_handle);
                self.connections.remove(&handle);
                self.shared.counters.connections.store(self.connections.len() as u64, Relaxed);
                continue;
            }
            let deadline = x.deadline();
            self.timers.update(handle, &mut x.timer, deadline);
            if more && !mem::replace(&mut x.is_ready, true) {
                self.ready.push(handle);
            }
        }
        let connections = &self.connections;
        self.timers.compact(connections.len(), |time, handle| {
            connections.get(&handle).is_some_and(|x| x.timer == Some(time))
        });
    }

    /// Carries a shutdown on: sessions, then connections, then the thread.
    fn is_done(&mut self, now: Instant) -> bool {
        let Some(shutdown) = &mut self.shutdown else { return false };
        let late = now >= shutdown.deadline;
        if !shutdown.closed && (late || self.connections.values().all(|x| x.is_quiescent())) {
            shutdown.closed = true;
            let (code, reason) = (shutdown.code, shutdown.reason.clone());
            // A last moment for CONNECTION_CLOSE to be sent, and again when it is lost
            shutdown.deadline = shutdown.deadline.max(now + Duration::from_millis(20));
            for handle in self.connections.keys().copied().collect::<Vec<_>>() {
                self.with(handle, |x, sink| x.close_now(now, code, reason.clone(), sink));
            }
            return false;
        }
        // Not only once all was sent: a socket may never take it. Where no handshake was finished, three probe time-outs
        // (RFC 9000 §10.2) are seconds of a guess, and with its sockets the endpoint answers nothing late anyway
        shutdown.closed && (late || !self.connections.values().any(|x| x.handshake_complete))
    }

    /// The I/O thread has nothing to do: what it waits for.
    fn sleep(&mut self) -> Sleep {
        let deadlines = [self.timers.next(), self.shutdown.as_ref().map(|x| x.deadline), self.loan.term()];
        let until = deadlines.into_iter().flatten().min();
        self.asleep = Some(until);
        let receives = !self.sink.is_congested() && !self.loan.is_lent();
        let events = |socket: &Socket| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, receives);
            flags.set(PollFlags::OUT, socket.is_blocked());
            flags
        };
        Sleep { until, events: self.sockets.iter().map(events).collect() }
    }
}

/// An error code that fits into QUIC; codes come from tables and checked arguments.
fn code(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}
