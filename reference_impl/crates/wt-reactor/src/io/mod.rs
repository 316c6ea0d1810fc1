//! The I/O thread: one endpoint's sockets, timers and connections.
//!
//! A round of the loop takes the commands of the application, what the sockets have, and the timers that are
//! due, lets each connection concerned act on it once, sends, and wakes the application at most once.

mod admission;
mod commands;
mod connection;
mod opens;
mod read;
mod sessions;
mod setup;
mod sink;
mod socket;
mod stream;
mod timers;
mod traces;
mod write;

use std::{
    mem,
    net::SocketAddr,
    os::fd::AsFd,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use quinn_udp::BATCH_SIZE;
use rustc_hash::FxHashMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wt_core::Role;
use wt_quic::{
    ClientConfig, ConnectionHandle, DatagramEvent, Endpoint, Incoming, ServerConfig, TransportConfig, VarInt,
};

use self::{
    admission::{Admission, Verdict},
    connection::Connection,
    sink::Sink,
    socket::{ReceiveBuffers, Socket},
    timers::Timers,
    traces::Traces,
};
use crate::{
    config::Config,
    message::{Command, ConnectionEnd, ConnectionEndSource, Event, Handle},
    shared::Shared,
};

/// Batches that are received in one round, so that other work gets its turn
const RECEIVE_BATCHES: usize = 4;
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
    /// Memory to put packets together in
    packet: Vec<u8>,
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

    /// Until the endpoint is closed.
    pub(crate) fn run(mut self) {
        let mut buffers = ReceiveBuffers::new();
        let mut slept = false;
        loop {
            let now = Instant::now();
            self.resume();
            let mut busy = self.commands(now);
            for index in 0..self.sockets.len() {
                // What the system has said nothing of is asked only where it was not asked
                if !slept || self.sockets[index].is_readable {
                    busy |= self.receive(now, index, &mut buffers);
                }
            }
            self.expire(now);
            self.serve(now);
            let errors = self.sockets.iter().map(|x| x.send_errors).sum();
            self.shared.counters.send_errors.store(errors, Relaxed);
            self.sink.flush();
            if self.is_done(now) {
                break;
            }
            let stuck = self.sockets.iter().any(Socket::is_blocked);
            slept = !busy && (self.ready.is_empty() || stuck) && self.sleep(now);
        }
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
                    commands::refuse_command(command, &mut self.sink);
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
        if let Some(transport) = self.trace(handle) {
            config.transport_config(transport);
        }
        let (quic_handle, quic) =
            self.endpoint.connect(now, config, address, server_name).map_err(|e| e.to_string())?;
        let core = wt_core::Connection::new(self.core.clone(), Role::Client);
        let connection =
            Connection::new(handle, quic_handle, quic, core, self.config.clone(), flow, socket, now);
        self.insert(connection);
        Ok(())
    }

    /// The configuration of QUIC for a connection of its own, where there are traces.
    fn trace(&mut self, handle: Handle) -> Option<Arc<TransportConfig>> {
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

    /// Whether there may be more to receive.
    fn receive(&mut self, now: Instant, index: usize, buffers: &mut ReceiveBuffers) -> bool {
        for _ in 0..RECEIVE_BATCHES {
            if self.sink.is_congested() {
                return false;
            }
            let mut count = 0;
            for batch in buffers.receive(&self.sockets[index]) {
                count += 1;
                // In one piece: the datagrams share the allocation
                let mut data = BytesMut::from(batch.data);
                while !data.is_empty() {
                    let datagram = data.split_to(batch.stride.min(data.len()));
                    self.packet.clear();
                    let event = self.endpoint.handle(
                        now,
                        batch.from,
                        batch.to,
                        batch.ecn,
                        datagram,
                        &mut self.packet,
                    );
                    match event {
                        Some(DatagramEvent::ConnectionEvent(quic_handle, event)) => {
                            let handle = self.handles.get(&quic_handle);
                            if let Some(x) = handle.and_then(|x| self.connections.get_mut(x)) {
                                x.socket = index;
                                x.quic.handle_event(event);
                                if !mem::replace(&mut x.is_ready, true) {
                                    self.ready.push(x.handle);
                                }
                            }
                        }
                        Some(DatagramEvent::NewConnection(incoming)) => self.incoming(now, index, incoming),
                        Some(DatagramEvent::Response(transmit)) => {
                            self.sockets[index].send(transmit, &self.packet);
                        }
                        None => {}
                    }
                }
            }
            if count < BATCH_SIZE {
                return false;
            }
        }
        true
    }

    fn incoming(&mut self, now: Instant, index: usize, incoming: Incoming) {
        let from = incoming.remote_address();
        let validated = incoming.remote_address_validated() || !incoming.may_retry();
        self.packet.clear();
        match self.admission.judge(from, self.connections.len(), validated) {
            Verdict::Accept => {}
            Verdict::Retry => {
                self.shared.counters.retries_sent.store(self.admission.retries, Relaxed);
                if let Ok(transmit) = self.endpoint.retry(incoming, &mut self.packet) {
                    self.sockets[index].send(transmit, &self.packet);
                }
                return;
            }
            Verdict::Refuse => {
                self.shared.counters.handshakes_refused.store(self.admission.refused, Relaxed);
                let transmit = self.endpoint.refuse(incoming, &mut self.packet);
                self.sockets[index].send(transmit, &self.packet);
                return;
            }
        }
        let handle = self.sink.handle();
        let config = self.trace(handle).and_then(|transport| {
            let mut config = ServerConfig::clone(self.server.as_ref()?);
            config.transport_config(transport);
            Some(Arc::new(config))
        });
        match self.endpoint.accept(incoming, now, &mut self.packet, config) {
            Ok((quic_handle, quic)) => {
                let core = wt_core::Connection::new(self.core.clone(), Role::Server);
                let flow = Arc::default();
                self.admission.begin(from);
                let mut connection =
                    Connection::new(handle, quic_handle, quic, core, self.config.clone(), flow, index, now);
                connection.admitted_from = Some(from);
                self.insert(connection);
            }
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.sockets[index].send(transmit, &self.packet);
                }
            }
        }
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
        // Not only once all was sent: a socket may never take it
        shutdown.closed && (late || self.connections.is_empty())
    }

    /// Waits for the application, the network and the timers. `false`: there is something to do already.
    fn sleep(&mut self, now: Instant) -> bool {
        if !self.shared.commands.arm() {
            return false;
        }
        let next = self.timers.next().into_iter().chain(self.shutdown.as_ref().map(|x| x.deadline)).min();
        let wait = next.map(|x| x.saturating_duration_since(now));
        let wait = wait.and_then(|x| Timespec::try_from(x).ok());
        let mut fds = Vec::with_capacity(1 + self.sockets.len());
        fds.push(PollFd::from_borrowed_fd(self.shared.commands.as_fd(), PollFlags::IN));
        for socket in &self.sockets {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !self.sink.is_congested());
            flags.set(PollFlags::OUT, socket.is_blocked());
            fds.push(PollFd::from_borrowed_fd(socket.as_fd(), flags));
        }
        // EINTR and the like: just go round once more
        let _ = poll(&mut fds, wait.as_ref());
        let events: Vec<_> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        for (socket, events) in self.sockets.iter_mut().zip(&events[1..]) {
            socket.is_readable = !events.difference(PollFlags::OUT).is_empty();
        }
        self.shared.commands.disarm();
        if !events[0].is_empty() {
            self.shared.commands.clear();
        }
        true
    }
}

/// An error code that fits into QUIC; codes come from tables and checked arguments.
fn code(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}
