//! The server's side of the protocol.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::Result;
use bytes::{Bytes, BytesMut};

use crate::{CHUNK, Receiver, Sender, Session, usage::resident_bytes};

/// Until the session ends.
pub(crate) async fn session<S: Session>(session: S) {
    let datagrams = Arc::new(AtomicU64::new(0));
    let (receiving, count) = (session.clone(), datagrams.clone());
    tokio::spawn(async move {
        while let Ok(data) = receiving.receive_datagram().await {
            count.fetch_add(1, Relaxed);
            if data.first() == Some(&b'e') {
                let _ = receiving.send_datagram(data);
            }
        }
    });
    while let Ok((sender, receiver)) = session.accept().await {
        let count = datagrams.clone();
        tokio::spawn(async move {
            let _ = stream(sender, receiver, &count).await;
        });
    }
}

async fn stream(mut sender: impl Sender, mut receiver: impl Receiver, datagrams: &AtomicU64) -> Result<()> {
    let Some(first) = receiver.read().await? else { return Ok(()) };
    if first[0] == b's' {
        let mut total = first.len() as u64 - 1;
        while let Some(data) = receiver.read().await? {
            total += data.len() as u64;
        }
        sender.write(Bytes::copy_from_slice(&total.to_be_bytes())).await?;
        return sender.finish().await;
    }
    let mut body = BytesMut::from(first);
    while let Some(data) = receiver.read().await? {
        body.extend_from_slice(&data);
    }
    let body = body.freeze();
    match body[0] {
        b'e' => sender.write(body).await?,
        b'n' => sender.write(Bytes::copy_from_slice(&datagrams.load(Relaxed).to_be_bytes())).await?,
        b'm' => sender.write(Bytes::copy_from_slice(&resident_bytes().to_be_bytes())).await?,
        b'd' => {
            let mut left = u64::from_be_bytes(body[1..9].try_into()?) as usize;
            let chunk = Bytes::from_static(&[0; CHUNK]);
            while left > 0 {
                let size = left.min(CHUNK);
                sender.write(chunk.slice(..size)).await?;
                left -= size;
            }
        }
        _ => {}
    }
    sender.finish().await
}
