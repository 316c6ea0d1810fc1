//! wtransport.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use native_peers::{
    CHUNK, Identity, Peer, Receiver, STREAMS, Sender, Session, client_tls, ready, server_tls,
};
use wtransport::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig,
    endpoint::endpoint_side::Client, quinn::TransportConfig,
};

const ALPN: &[u8] = b"h3";

struct Library(Endpoint<Client>, String);

#[derive(Clone)]
struct Established(Arc<Connection>);

struct Out(SendStream);

struct In(RecvStream);

impl Sender for Out {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.0.write_all(&data).await?)
    }

    async fn finish(&mut self) -> Result<()> {
        // Its own method waits for the acknowledgement too
        Ok(self.0.quic_stream_mut().finish()?)
    }
}

impl Receiver for In {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.quic_stream_mut().read_chunk(CHUNK, true).await?.map(|x| x.bytes))
    }
}

impl Session for Established {
    type Sender = Out;
    type Receiver = In;

    async fn open(&self) -> Result<(Out, In)> {
        let (sender, receiver) = self.0.open_bi().await?.await?;
        Ok((Out(sender), In(receiver)))
    }

    async fn accept(&self) -> Result<(Out, In)> {
        let (sender, receiver) = self.0.accept_bi().await?;
        Ok((Out(sender), In(receiver)))
    }

    fn send_datagram(&self, data: Bytes) -> Result<()> {
        Ok(self.0.send_datagram(data)?)
    }

    async fn receive_datagram(&self) -> Result<Bytes> {
        Ok(self.0.receive_datagram().await?.payload())
    }

    fn close(&self) {
        self.0.close(0u32.into(), b"");
    }
}

impl Peer for Library {
    type Session = Established;

    async fn serve(
        port: u16,
        identity: Identity,
        handle: impl Fn(Established) + Send + Sync + 'static,
    ) -> Result<()> {
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(STREAMS.into());
        let config = ServerConfig::builder()
            .with_bind_address(SocketAddr::from(([127, 0, 0, 1], port)))
            .with_custom_tls_and_transport(server_tls(ALPN, identity)?, transport)
            .build();
        let server = Endpoint::server(config)?;
        ready();
        let handle = Arc::new(handle);
        loop {
            let incoming = server.accept().await;
            let handle = handle.clone();
            tokio::spawn(async move {
                if let Ok(request) = incoming.await
                    && let Ok(connection) = request.accept().await
                {
                    handle(Established(Arc::new(connection)));
                }
            });
        }
    }

    fn client(port: u16) -> Result<Self> {
        let config = ClientConfig::builder()
            .with_bind_address(SocketAddr::from(([127, 0, 0, 1], 0)))
            .with_custom_tls(client_tls(ALPN)?)
            .build();
        Ok(Self(Endpoint::client(config)?, format!("https://127.0.0.1:{port}/")))
    }

    async fn connect(&self) -> Result<Established> {
        Ok(Established(Arc::new(self.0.connect(&self.1).await?)))
    }
}

fn main() -> Result<()> {
    native_peers::main::<Library>()
}
