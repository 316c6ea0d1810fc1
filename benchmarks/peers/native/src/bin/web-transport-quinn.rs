//! web-transport-quinn.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use native_peers::{
    CHUNK, Identity, Peer, Receiver, STREAMS, Sender, Session, client_tls, ready, server_tls,
};
use quinn::{
    ClientConfig, Endpoint, ServerConfig, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use url::Url;
use web_transport_quinn::{ALPN, Client, RecvStream, SendStream, Server};

struct Library(Client, Url);

#[derive(Clone)]
struct Established(web_transport_quinn::Session);

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

impl Session for Established {
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
        self.0.close(0, b"");
    }
}

impl Peer for Library {
    type Session = Established;

    async fn serve(
        port: u16,
        identity: Identity,
        handle: impl Fn(Established) + Send + Sync + 'static,
    ) -> Result<()> {
        let crypto = QuicServerConfig::try_from(server_tls(ALPN.as_bytes(), identity)?)?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(STREAMS.into());
        config.transport_config(Arc::new(transport));
        let mut server = Server::new(Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], port)))?);
        ready();
        let handle = Arc::new(handle);
        while let Some(request) = server.accept().await {
            let handle = handle.clone();
            tokio::spawn(async move {
                if let Ok(session) = request.ok().await {
                    handle(Established(session));
                }
            });
        }
        Ok(())
    }

    fn client(port: u16) -> Result<Self> {
        let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let crypto = client_tls(ALPN.as_bytes())?;
        let crypto = QuicClientConfig::try_from(crypto).context("no initial cipher suite")?;
        let client = Client::new(endpoint, ClientConfig::new(Arc::new(crypto)));
        Ok(Self(client, Url::parse(&format!("https://127.0.0.1:{port}/"))?))
    }

    async fn connect(&self) -> Result<Established> {
        Ok(Established(self.0.connect(self.1.clone()).await?))
    }
}

fn main() -> Result<()> {
    native_peers::main::<Library>()
}
