//! QUIC without HTTP/3: a connection stands for a session.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use native_peers::{
    CHUNK, Identity, Peer, Receiver, STREAMS, Sender, Session, client_tls, ready, server_tls,
};
use quinn::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};

const ALPN: &[u8] = b"bench";

struct Quinn(Endpoint, SocketAddr);

#[derive(Clone)]
struct Raw(Connection);

struct Out(SendStream);

struct In(RecvStream);

impl Sender for Out {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        Ok(self.0.write_chunk(data).await?)
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(self.0.finish()?)
    }
}

impl Receiver for In {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.read_chunk(CHUNK, true).await?.map(|x| x.bytes))
    }
}

impl Session for Raw {
    type Sender = Out;
    type Receiver = In;

    async fn open(&self) -> Result<(Out, In)> {
        let (sender, receiver) = self.0.open_bi().await?;
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
        Ok(self.0.read_datagram().await?)
    }

    fn close(&self) {
        self.0.close(0u32.into(), b"");
    }
}

impl Peer for Quinn {
    type Session = Raw;

    async fn serve(
        port: u16,
        identity: Identity,
        handle: impl Fn(Raw) + Send + Sync + 'static,
    ) -> Result<()> {
        let crypto = QuicServerConfig::try_from(server_tls(ALPN, identity)?)?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(STREAMS.into());
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], port)))?;
        ready();
        let handle = Arc::new(handle);
        while let Some(incoming) = endpoint.accept().await {
            let handle = handle.clone();
            tokio::spawn(async move {
                if let Ok(connection) = incoming.await {
                    handle(Raw(connection));
                }
            });
        }
        Ok(())
    }

    fn client(port: u16) -> Result<Self> {
        let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let crypto = QuicClientConfig::try_from(client_tls(ALPN)?).context("no initial cipher suite")?;
        endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
        Ok(Self(endpoint, SocketAddr::from(([127, 0, 0, 1], port))))
    }

    async fn connect(&self) -> Result<Raw> {
        Ok(Raw(self.0.connect(self.1, "localhost")?.await?))
    }
}

fn main() -> Result<()> {
    native_peers::main::<Quinn>()
}
