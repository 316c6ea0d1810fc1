//! The echo endpoint: every stream and datagram of a session goes back to the client.

use wtransport::error::StreamReadError;
use wtransport::{Connection, RecvStream, SendStream};

use crate::streams::{Conversation, abort, copy, first_bytes, open_uni};

#[derive(Clone)]
pub struct Echo;

impl Conversation for Echo {
    async fn bidirectional(&self, send: SendStream, receive: RecvStream) {
        copy(send, receive, &[]).await;
    }

    /// Answers on a new stream as soon as the first byte, the end or the reset arrives.
    async fn unidirectional(&self, connection: Connection, mut receive: RecvStream) {
        let first = first_bytes(&mut receive).await;
        let Some(mut send) = open_uni(&connection).await else {
            return;
        };
        match first {
            Ok(first) => copy(send, receive, &first).await,
            Err(StreamReadError::Reset(code)) => abort(&mut send, code),
            Err(_) => {}
        }
    }

    fn datagram(&self, connection: &Connection, payload: &[u8]) {
        // One that no longer fits the path is lost like any datagram.
        let _ = connection.send_datagram(payload);
    }
}
