//! From the configuration to sockets and a QUIC endpoint.

use std::{
    fmt::Display,
    hash::{BuildHasher, Hasher, RandomState},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use wt_core::Role;
use wt_quic::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};

use super::{
    Reactor, admission::Admission, loan::Loan, sink::Sink, socket::Socket, timers::Timers, traces::Traces,
};
use crate::{
    config::{Config, Error},
    shared::Shared,
};

impl Reactor {
    /// Binds the sockets.
    pub(crate) fn new(config: Arc<Config>, shared: Arc<Shared>) -> Result<Self, Error> {
        let transport = Arc::new(config.transport.build()?);
        let wrong = |e: &dyn Display| Error::Config(format!("TLS: {e}"));
        let (mut server, mut client) = (None, None);
        if config.role == Role::Server {
            let crypto = QuicServerConfig::try_from(config.tls.server()?).map_err(|e| wrong(&e))?;
            let mut quic = ServerConfig::with_crypto(Arc::new(crypto));
            quic.transport_config(transport).max_incoming(config.limits.max_connections);
            server = Some(Arc::new(quic));
        } else {
            let crypto = QuicClientConfig::try_from(config.tls.client()?).map_err(|e| wrong(&e))?;
            let mut quic = ClientConfig::new(Arc::new(crypto));
            quic.transport_config(transport);
            client = Some(quic);
        }
        let mut quic = EndpointConfig::default();
        quic.max_udp_payload_size(65_527).map_err(|e| wrong(&e))?;
        let sockets = Self::bind(&config)?;
        // Reserved identifiers shall differ from one endpoint to the next (RFC 9114 §7.2.8)
        let grease = config.core.grease.map(|_| RandomState::new().build_hasher().finish());
        let core = wt_core::Config { grease, ..config.core.clone() };
        Ok(Self {
            endpoint: Endpoint::new(Arc::new(quic), server.clone(), true, None),
            client,
            server,
            traces: config.qlog.as_ref().map(|x| Traces::new(x, config.role)).transpose()?,
            core: Arc::new(core),
            sink: Sink::new(shared.clone()),
            connections: FxHashMap::default(),
            handles: FxHashMap::default(),
            timers: Timers::default(),
            admission: Admission::new(&config.limits),
            ready: Vec::new(),
            buffers: None,
            loan: Loan::default(),
            asleep: None,
            packet: Vec::with_capacity(1 << 16),
            shutdown: None,
            config,
            sockets,
            shared,
        })
    }

    /// A port of 0 becomes the one that the first socket got. A client without IPv6 does with IPv4.
    fn bind(config: &Config) -> Result<Vec<Socket>, Error> {
        let mut sockets: Vec<Socket> = Vec::new();
        for &(mut address) in &config.bind {
            if let (0, Some(first)) = (address.port(), sockets.first()) {
                address.set_port(first.local().port());
            }
            let socket = Socket::bind(address).or_else(|e| match address {
                SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
                    Socket::bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
                }
                _ => Err(e),
            });
            sockets.push(socket?);
        }
        if sockets.is_empty() {
            return Err(Error::Config("bind is empty".to_owned()));
        }
        Ok(sockets)
    }
}
