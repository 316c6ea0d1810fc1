//! Configuration of an endpoint.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use wt_core::Role;
use wt_quic::{MtuDiscoveryConfig, TransportConfig, VarInt, congestion};

/// Why an endpoint can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value can't be used.
    #[error("{0}")]
    Config(String),
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Everything that can be chosen. `Config::new` has the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    pub role: Role,
    /// One socket each. An unspecified IPv6 address takes IPv4 too.
    pub bind: Vec<SocketAddr>,
    pub tls: Tls,
    pub transport: Transport,
    pub core: wt_core::Config,
    pub limits: Limits,
    /// A trace of each connection; `None`: none
    pub qlog: Option<Qlog>,
}

/// Traces of connections as the QUIC engine writes them: packets, losses and figures of recovery, no frames.
#[derive(Debug, Clone)]
pub struct Qlog {
    /// Made if it is missing
    pub folder: PathBuf,
    /// Files that are kept of one endpoint: the oldest goes when there are more
    pub max_files: usize,
    /// Bytes of a file; what follows is left out
    pub max_file_size: u64,
}

/// Identity and trust. All certificates and keys are PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    pub certificate: Option<Vec<u8>>,
    pub private_key: Option<Vec<u8>>,
    /// Trust anchors; `None`: those of the system
    pub ca: Option<Vec<u8>>,
    pub verify: Verify,
    /// SHA-256 of the leaves that a client accepts, instead of `ca`
    pub certificate_hashes: Vec<[u8; 32]>,
    pub alpn: Vec<Vec<u8>>,
    /// NSS key log; `None`: as the environment's SSLKEYLOGFILE says
    pub keylog_file: Option<PathBuf>,
    /// Server: take 0-RTT. The application hears of what came in it once the handshake is complete. Clients
    /// have none
    pub early_data: bool,
}

/// Whether the certificate of the peer is demanded and verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    None,
    /// Server: a client need not have one
    Optional,
    Required,
}

/// QUIC.
#[derive(Debug, Clone)]
pub struct Transport {
    pub idle_timeout: Option<Duration>,
    /// From the first packet to the end of the handshake; of a server, to the client's SETTINGS
    pub handshake_timeout: Duration,
    /// Server: from the first packet to the first request, of whatever kind
    pub first_request_timeout: Option<Duration>,
    pub keep_alive: Option<Duration>,
    pub stream_receive_window: u64,
    pub receive_window: u64,
    pub send_window: u64,
    pub max_bidi_streams: u64,
    pub max_uni_streams: u64,
    /// 0: no datagrams
    pub max_datagram_frame_size: u16,
    pub datagram_send_buffer: usize,
    pub datagram_receive_buffer: usize,
    pub initial_mtu: u16,
    pub max_mtu: u16,
    pub congestion: Congestion,
    /// Segmentation offload
    pub gso: bool,
    /// Transport parameter 0x1d (draft-ietf-quic-reliable-stream-reset-08 and later)
    pub reset_stream_at: bool,
    /// Transport parameter 0x17f7586d2cb571 (-07 and before)
    pub reset_stream_at_07: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Congestion {
    Cubic,
    NewReno,
    Bbr,
}

/// Bounds of what a peer, or a slow application, can make grow.
#[derive(Debug, Clone)]
pub struct Limits {
    pub max_connections: usize,
    /// Handshakes under way from which on Retry is demanded of every address
    pub max_handshakes: usize,
    /// Handshakes under way from one address (IPv6: /64) from which on Retry is demanded (0: always); with four
    /// times as many, and at least 16, connections are refused
    pub max_handshakes_per_address: usize,
    /// Messages to the application
    pub event_queue: usize,
    /// Commands from the application
    pub command_queue: usize,
    /// Bytes per stream that the application has not read yet
    pub stream_read_buffer: usize,
    /// Bytes per stream, from which on writing has to wait
    pub stream_write_buffer: usize,
    /// Per connection, received and not fetched
    pub max_datagrams_queued: usize,
    /// Streams per connection that wait for the peer's limit
    pub max_opening_streams: usize,
    /// Streams of the peer per connection that the application is not done with, ended ones included; at least
    /// as many as QUIC allows at a time
    pub max_pending_streams: usize,
}

impl Config {
    pub fn new(role: Role) -> Self {
        let port = if role == Role::Server { 4433 } else { 0 };
        Self {
            role,
            bind: vec![SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port)],
            tls: Tls {
                certificate: None,
                private_key: None,
                ca: None,
                verify: if role == Role::Server { Verify::None } else { Verify::Required },
                certificate_hashes: Vec::new(),
                alpn: vec![b"h3".to_vec()],
                keylog_file: None,
                early_data: false,
            },
            transport: Transport {
                idle_timeout: Some(Duration::from_secs(30)),
                handshake_timeout: Duration::from_secs(10),
                first_request_timeout: None,
                keep_alive: None,
                // Well above the session's limit, which is what a peer is to meet first
                stream_receive_window: 6 << 20,
                receive_window: 16 << 20,
                send_window: 16 << 20,
                max_bidi_streams: 256,
                max_uni_streams: 256,
                max_datagram_frame_size: u16::MAX,
                datagram_send_buffer: 1 << 20,
                datagram_receive_buffer: 1 << 20,
                initial_mtu: 1200,
                max_mtu: 1452,
                congestion: Congestion::Cubic,
                gso: true,
                reset_stream_at: true,
                reset_stream_at_07: true,
            },
            core: wt_core::Config { reports_final_sizes: true, ..Default::default() },
            limits: Limits {
                max_connections: 10_000,
                max_handshakes: 512,
                max_handshakes_per_address: 256,
                event_queue: 8_192,
                command_queue: 4_096,
                stream_read_buffer: 1 << 20,
                stream_write_buffer: 1 << 20,
                max_datagrams_queued: 4_096,
                max_opening_streams: 4_096,
                max_pending_streams: 1_024,
            },
            qlog: None,
        }
    }
}

impl Config {
    /// Streams of the peer that the application of a connection may have.
    pub(crate) fn max_pending_streams(&self) -> usize {
        let open = self.transport.max_bidi_streams.saturating_add(self.transport.max_uni_streams);
        self.limits.max_pending_streams.max(usize::try_from(open).unwrap_or(usize::MAX))
    }
}

impl Transport {
    pub(crate) fn build(&self) -> Result<TransportConfig, Error> {
        let number = |name: &str, value: u64| {
            VarInt::from_u64(value).map_err(|_| Error::Config(format!("{name} is too large")))
        };
        let mut config = TransportConfig::default();
        let idle = self
            .idle_timeout
            .map(|time| time.try_into().map_err(|_| Error::Config("idle_timeout is too large".to_owned())));
        config
            .max_idle_timeout(idle.transpose()?)
            .keep_alive_interval(self.keep_alive)
            .stream_receive_window(number("stream_receive_window", self.stream_receive_window)?)
            .receive_window(number("receive_window", self.receive_window)?)
            .send_window(self.send_window)
            .max_concurrent_bidi_streams(number("max_bidi_streams", self.max_bidi_streams)?)
            .max_concurrent_uni_streams(number("max_uni_streams", self.max_uni_streams)?)
            .datagram_send_buffer_size(self.datagram_send_buffer)
            .datagram_receive_buffer_size(
                (self.max_datagram_frame_size > 0).then_some(self.datagram_receive_buffer),
            )
            .enable_segmentation_offload(self.gso)
            // The session's flow control counts what was sent on streams that are not read to their end
            .report_final_sizes(true)
            .reset_stream_at(self.reset_stream_at)
            .reset_stream_at_07(self.reset_stream_at_07);
        if self.initial_mtu < 1200 || self.max_mtu < self.initial_mtu {
            return Err(Error::Config("needs 1200 <= initial_mtu <= max_mtu".to_owned()));
        }
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(self.max_mtu);
        config.initial_mtu(self.initial_mtu).mtu_discovery_config(Some(discovery));
        match self.congestion {
            Congestion::Cubic => {
                config.congestion_controller_factory(Arc::new(congestion::CubicConfig::default()))
            }
            Congestion::NewReno => {
                config.congestion_controller_factory(Arc::new(congestion::NewRenoConfig::default()))
            }
            Congestion::Bbr => {
                config.congestion_controller_factory(Arc::new(congestion::BbrConfig::default()))
            }
        };
        Ok(config)
    }

    /// What the peer is told in transport parameters, under the names of RFC 9000 §18.2.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, u64)> {
        let idle = self.idle_timeout.map_or(0, |x| u64::try_from(x.as_millis()).unwrap_or(u64::MAX));
        // As the engine has it
        let datagrams =
            if self.max_datagram_frame_size > 0 { self.datagram_receive_buffer.min(65_535) } else { 0 };
        let datagrams = datagrams as u64;
        vec![
            ("max_idle_timeout", idle),
            ("initial_max_data", self.receive_window),
            ("initial_max_stream_data_bidi_local", self.stream_receive_window),
            ("initial_max_stream_data_bidi_remote", self.stream_receive_window),
            ("initial_max_stream_data_uni", self.stream_receive_window),
            ("initial_max_streams_bidi", self.max_bidi_streams),
            ("initial_max_streams_uni", self.max_uni_streams),
            ("max_datagram_frame_size", datagrams),
            ("reset_stream_at", self.reset_stream_at.into()),
            ("reset_stream_at_07", self.reset_stream_at_07.into()),
        ]
    }
}
