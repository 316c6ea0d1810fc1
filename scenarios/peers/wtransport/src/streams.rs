//! What the endpoints have in common: accepting, opening, copying and ending streams.

use std::future::Future;

use wtransport::error::{StreamReadError, StreamWriteError};
use wtransport::{Connection, RecvStream, SendStream, VarInt};

const BUFFER_SIZE: usize = 64 * 1024;

/// What an endpoint does with the streams and datagrams of the client.
pub trait Conversation: Clone + Send + Sync + 'static {
    fn bidirectional(
        &self,
        send: SendStream,
        receive: RecvStream,
    ) -> impl Future<Output = ()> + Send;
    fn unidirectional(
        &self,
        connection: Connection,
        receive: RecvStream,
    ) -> impl Future<Output = ()> + Send;
    fn datagram(&self, connection: &Connection, payload: &[u8]);
}

/// Serves a session until it ends.
pub async fn converse<C: Conversation>(connection: &Connection, conversation: C) {
    let bidirectional = async {
        while let Ok((send, receive)) = connection.accept_bi().await {
            let conversation = conversation.clone();
            tokio::spawn(async move { conversation.bidirectional(send, receive).await });
        }
    };
    let unidirectional = async {
        while let Ok(receive) = connection.accept_uni().await {
            let (conversation, connection) = (conversation.clone(), connection.clone());
            tokio::spawn(async move { conversation.unidirectional(connection, receive).await });
        }
    };
    let datagrams = async {
        while let Ok(datagram) = connection.receive_datagram().await {
            conversation.datagram(connection, &datagram);
        }
    };
    tokio::join!(bidirectional, unidirectional, datagrams);
}

/// The bytes that a server makes up: `byte(i) = i mod 251`.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// Opens a unidirectional stream, waiting for stream credit.
pub async fn open_uni(connection: &Connection) -> Option<SendStream> {
    connection.open_uni().await.ok()?.await.ok()
}

/// Opens a bidirectional stream, waiting for stream credit.
pub async fn open_bi(connection: &Connection) -> Option<(SendStream, RecvStream)> {
    connection.open_bi().await.ok()?.await.ok()
}

/// The first bytes of a stream: none at its end, an error when it was reset.
pub async fn first_bytes(receive: &mut RecvStream) -> Result<Vec<u8>, StreamReadError> {
    let mut buffer = vec![0; BUFFER_SIZE];
    let length = receive.read(&mut buffer).await?.unwrap_or(0);
    buffer.truncate(length);
    Ok(buffer)
}

/// Reads a stream to its end and drops what it carries.
pub async fn discard(mut receive: RecvStream) {
    let mut buffer = vec![0; BUFFER_SIZE];
    while let Ok(Some(_)) = receive.read(&mut buffer).await {}
}

/// How one direction of an echoed stream ended.
enum End {
    Finished,
    Reset(VarInt),
    Stopped(VarInt),
    Gone,
}

/// Sends back `first` and then what arrives. The end, a reset and a stop are passed on to the other
/// direction, the latter two with their code.
pub async fn copy(mut send: SendStream, mut receive: RecvStream, first: &[u8]) {
    match pump(&mut send, &mut receive, first).await {
        End::Finished => {
            // A failure means that the session is gone, which the accepting tasks notice.
            let _ = send.finish().await;
        }
        End::Reset(code) => abort(&mut send, code),
        End::Stopped(code) => {
            receive.stop(code);
            // A stopped direction is reset with the code that the peer asked for (RFC 9000 §3.5).
            abort(&mut send, code);
        }
        End::Gone => {}
    }
}

/// Resets a stream; one that has ended already stays as it is.
pub fn abort(send: &mut SendStream, code: VarInt) {
    let _ = send.reset(code);
}

async fn pump(send: &mut SendStream, receive: &mut RecvStream, first: &[u8]) -> End {
    if let Err(error) = send.write_all(first).await {
        return write_end(error);
    }
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        let length = tokio::select! {
            result = receive.read(&mut buffer) => match result {
                Ok(Some(length)) => length,
                Ok(None) => return End::Finished,
                Err(StreamReadError::Reset(code)) => return End::Reset(code),
                Err(_) => return End::Gone,
            },
            error = send.stopped() => return write_end(error),
        };
        if let Err(error) = send.write_all(&buffer[..length]).await {
            return write_end(error);
        }
    }
}

fn write_end(error: StreamWriteError) -> End {
    match error {
        StreamWriteError::Stopped(code) => End::Stopped(code),
        _ => End::Gone,
    }
}
