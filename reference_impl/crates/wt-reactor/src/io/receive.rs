//! From the sockets to the connections, and new ones.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use bytes::BytesMut;
use quinn_udp::BATCH_SIZE;
use wt_core::Role;
use wt_quic::{DatagramEvent, Incoming, ServerConfig};

use super::{Reactor, admission::Verdict, connection::Connection, socket::ReceiveBuffers};

/// Batches that are received in one round, so that other work gets its turn
const RECEIVE_BATCHES: usize = 4;

impl Reactor {
    /// Whether there may be more to receive.
    pub(super) fn receive(&mut self, now: Instant, index: usize) -> bool {
        let mut buffers = self.buffers.take().unwrap_or_default();
        let more = self.receive_into(now, index, &mut buffers);
        self.buffers = Some(buffers);
        more
    }

    fn receive_into(&mut self, now: Instant, index: usize, buffers: &mut ReceiveBuffers) -> bool {
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
                    self.sockets[index].packets += 1;
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
        let (transport, trace) = self.trace(handle).unzip();
        let config = transport.and_then(|transport| {
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
                connection.trace = trace;
                self.insert(connection);
            }
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.sockets[index].send(transmit, &self.packet);
                }
            }
        }
    }
}
