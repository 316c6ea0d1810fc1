//! A WebTransport server on wtransport for the conformance suite: the endpoints of
//! `docs/endpoints.md` as far as the library's public API reaches them.

mod echo;
mod endpoints;
mod parameters;
mod streams;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use wtransport::endpoint::{IncomingSession, endpoint_side};
use wtransport::quinn::{TransportConfig, VarInt};
use wtransport::{Endpoint, Identity, ServerConfig};

/// Streams of each kind that a client may have open at once.
const MAX_STREAMS: u32 = 1024;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Parser)]
#[command(about = "WebTransport server on wtransport for the conformance suite")]
struct Arguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// UDP port to listen on, 0 for a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Certificate chain (PEM); a self-signed one is made without it.
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wtransport peer: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let identity = match (&arguments.cert, &arguments.key) {
        (Some(cert), Some(key)) => Identity::load_pemfiles(cert, key).await?,
        _ => Identity::self_signed(["localhost", "127.0.0.1", "::1"])?,
    };
    let server = Endpoint::server(configuration(&arguments, identity)?)?;
    println!("listening on https://{}/", server.local_addr()?);
    tokio::select! {
        () = accept_all(&server) => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}

fn configuration(
    arguments: &Arguments,
    identity: Identity,
) -> Result<ServerConfig, Box<dyn Error>> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(MAX_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS))
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into()?));
    Ok(ServerConfig::builder()
        .with_bind_address(SocketAddr::new(arguments.host, arguments.port))
        .with_custom_transport(identity, transport)
        .build())
}

async fn accept_all(server: &Endpoint<endpoint_side::Server>) {
    loop {
        let incoming = server.accept().await;
        tokio::spawn(serve(incoming));
    }
}

async fn serve(incoming: IncomingSession) {
    match incoming.await {
        Ok(request) => endpoints::dispatch(request).await,
        Err(error) => eprintln!("session request: {error}"),
    }
}
