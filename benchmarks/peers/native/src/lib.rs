//! What the Rust peers of the benchmark have in common: the workloads' protocol (see `wire.py`) and the workloads.
//!
//! `server PORT CERT KEY` prints `ready` and serves; `client PORT WORKLOAD AMOUNT` prints a line of JSON.

mod client;
mod serve;
mod usage;

use std::{fs::File, future::Future, io::Write as _, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

pub use crate::{
    client::{Step, datagram_search, quantile, show},
    usage::{cpu_seconds, resident_bytes},
};

/// Octets of one write of a bulk transfer
pub const CHUNK: usize = 1 << 16;
/// Streams of each kind, and sessions, that a peer may have open
pub const STREAMS: u32 = 1000;

/// Requests before anything is measured
pub const WARM_UP: usize = 200;
/// Sessions that are there before the memory of others is measured: what the first cost comes once
pub const WARM_UP_SESSIONS: usize = 50;
/// Sessions whose memory is measured
pub const IDLE_SESSIONS: usize = 200;

/// 64 octets that are echoed.
pub fn request() -> Bytes {
    let mut request = vec![0; 64];
    request[0] = b'e';
    request.into()
}

/// The sending half of a stream.
pub trait Sender: Send + 'static {
    fn write(&mut self, data: Bytes) -> impl Future<Output = Result<()>> + Send;
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// The receiving half of a stream.
pub trait Receiver: Send + 'static {
    /// The next octets, `None` at the end
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// A session, or where there are none a connection.
pub trait Session: Clone + Send + Sync + 'static {
    type Sender: Sender;
    type Receiver: Receiver;
    fn open(&self) -> impl Future<Output = Result<(Self::Sender, Self::Receiver)>> + Send;
    fn accept(&self) -> impl Future<Output = Result<(Self::Sender, Self::Receiver)>> + Send;
    fn send_datagram(&self, data: Bytes) -> Result<()>;
    fn receive_datagram(&self) -> impl Future<Output = Result<Bytes>> + Send;
    fn close(&self);
}

/// An implementation under measurement.
pub trait Peer: Sized + 'static {
    type Session: Session;
    /// Serves for ever; `handle` is called with each session.
    fn serve(
        port: u16,
        identity: Identity,
        handle: impl Fn(Self::Session) + Send + Sync + 'static,
    ) -> impl Future<Output = Result<()>> + Send;
    /// A client's endpoint.
    fn client(port: u16) -> Result<Self>;
    /// A session on a connection of its own.
    fn connect(&self) -> impl Future<Output = Result<Self::Session>>;
}

/// Certificate and key of a server.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// What the arguments ask for.
pub enum Task {
    Server { port: u16, cert: String, key: String },
    Client { port: u16, workload: String, amount: usize },
}

pub fn task() -> Result<Task> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    Ok(match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", port, cert, key] => {
            Task::Server { port: port.parse()?, cert: cert.to_owned(), key: key.to_owned() }
        }
        ["client", port, workload, amount] => {
            Task::Client { port: port.parse()?, workload: workload.to_owned(), amount: amount.parse()? }
        }
        _ => bail!("server PORT CERT KEY, or client PORT WORKLOAD AMOUNT"),
    })
}

/// Runs a peer as its arguments say.
pub fn main<P: Peer>() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _ = ring::default_provider().install_default();
    match task()? {
        Task::Server { port, cert, key } => {
            let identity = Identity {
                chain: CertificateDer::pem_file_iter(&cert)?.collect::<Result<_, _>>()?,
                key: PrivateKeyDer::from_pem_file(&key)?,
            };
            runtime.block_on(P::serve(port, identity, |session| {
                tokio::spawn(serve::session(session));
            }))
        }
        Task::Client { port, workload, amount } => {
            let result = runtime.block_on(client::run::<P>(port, &workload, amount))?;
            show(&result);
            // Whatever the library does at its end is not measured, and not waited for
            std::process::exit(0)
        }
    }
}

/// Says that the server is bound.
pub fn ready() {
    println!("ready");
    let _ = std::io::stdout().flush();
}

/// A client's TLS that accepts every certificate.
pub fn client_tls(alpn: &[u8]) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// A server's TLS.
pub fn server_tls(alpn: &[u8], identity: Identity) -> Result<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// Content of a file, with its name in the error.
pub fn read_file(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    let path = path.as_ref();
    std::io::Read::read_to_end(
        &mut File::open(path).with_context(|| path.display().to_string())?,
        &mut data,
    )?;
    Ok(data)
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
