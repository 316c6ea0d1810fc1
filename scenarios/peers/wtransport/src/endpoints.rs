//! Which endpoint serves which path, and what it does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use wtransport::endpoint::SessionRequest;
use wtransport::{Connection, RecvStream, SendStream, VarInt};

use crate::echo::Echo;
use crate::parameters::{Impossible, MAX_BYTES, Parameters};
use crate::streams::{
    Conversation, abort, converse, copy, discard, first_bytes, open_bi, open_uni, pattern,
};

/// What an endpoint does with a request, once its parameters have been read.
enum Plan {
    Echo,
    Reject { status: u64, delay: Duration },
    Close(Close),
    Push(Push),
    Reset(Reset),
}

/// Answers one session request and serves the session until it ends.
pub async fn dispatch(request: SessionRequest) {
    let target = request.path().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let parameters = Parameters::parse(query);
    let Some(plan) = plan(path, &parameters) else {
        return request.not_found().await;
    };
    // The library can refuse with 403, 404 and 429 only, so an impossible value gets 403.
    let (Ok(plan), Ok(delay)) = (plan, parameters.milliseconds("accept_after_ms")) else {
        return request.forbidden().await;
    };
    sleep(delay).await;
    if let Plan::Reject { status, delay } = plan {
        sleep(delay).await;
        return reject(request, status).await;
    }
    let Ok(connection) = request.accept().await else {
        return;
    };
    match plan {
        Plan::Echo | Plan::Reject { .. } => converse(&connection, Echo).await,
        Plan::Close(close) => close.run(&connection).await,
        Plan::Push(push) => push.run(&connection).await,
        Plan::Reset(reset) => reset.run(&connection).await,
    }
}

fn plan(path: &str, parameters: &Parameters) -> Option<Result<Plan, Impossible>> {
    match path {
        "/" | "/echo" => Some(Ok(Plan::Echo)),
        "/reject" => Some(rejection(parameters)),
        "/close" => Some(Close::new(parameters).map(Plan::Close)),
        "/push" => Some(Push::new(parameters).map(Plan::Push)),
        "/reset" => Some(Reset::new(parameters).map(Plan::Reset)),
        _ => None,
    }
}

fn rejection(parameters: &Parameters) -> Result<Plan, Impossible> {
    parameters.absent("location")?;
    match parameters.number("status", 403, 599)? {
        status @ (403 | 404 | 429) => Ok(Plan::Reject {
            status,
            delay: parameters.milliseconds("after_ms")?,
        }),
        _ => Err(Impossible),
    }
}

async fn reject(request: SessionRequest, status: u64) {
    match status {
        404 => request.not_found().await,
        429 => request.too_many_requests().await,
        _ => request.forbidden().await,
    }
}

/// `close`: echoes, then ends the session. The library can do so only by closing the connection.
struct Close {
    code: u32,
    reason: String,
    after: Duration,
    uni: u64,
    bidi: u64,
    on_stream: bool,
}

impl Close {
    fn new(parameters: &Parameters) -> Result<Self, Impossible> {
        parameters.absent("fin")?;
        let reason = parameters.text("reason").unwrap_or_default();
        let repeat = parameters.number("repeat", 1, MAX_BYTES)?;
        if repeat.saturating_mul(reason.len() as u64) > MAX_BYTES {
            return Err(Impossible);
        }
        Ok(Self {
            code: parameters.code()?,
            reason: reason.repeat(repeat as usize),
            after: parameters.milliseconds("after_ms")?,
            uni: parameters.count("uni")?,
            bidi: parameters.count("bidi")?,
            on_stream: match parameters.text("on") {
                None | Some("time") => false,
                Some("stream") => true,
                Some(_) => return Err(Impossible),
            },
        })
    }

    async fn run(self, connection: &Connection) {
        let started = Arc::new(Notify::new());
        let finish = async {
            if self.on_stream {
                started.notified().await;
            }
            // Kept until the end: dropping a stream would finish it.
            let mut uni = Vec::new();
            let mut bidi = Vec::new();
            for _ in 0..self.uni {
                let Some(mut send) = open_uni(connection).await else {
                    return;
                };
                let _ = send.write_all(&pattern(16)).await;
                uni.push(send);
            }
            for _ in 0..self.bidi {
                let Some((mut send, receive)) = open_bi(connection).await else {
                    return;
                };
                let _ = send.write_all(&pattern(16)).await;
                bidi.push((send, receive));
            }
            sleep(self.after).await;
            connection.close(VarInt::from_u32(self.code), self.reason.as_bytes());
            connection.closed().await;
        };
        let signalling = Signalling {
            started: Arc::clone(&started),
        };
        tokio::join!(finish, converse(connection, signalling));
    }
}

/// Echoes, and reports the first byte or end of any stream of the client.
#[derive(Clone)]
struct Signalling {
    started: Arc<Notify>,
}

impl Conversation for Signalling {
    async fn bidirectional(&self, send: SendStream, mut receive: RecvStream) {
        let first = first_bytes(&mut receive).await;
        self.started.notify_one();
        copy(send, receive, &first.unwrap_or_default()).await;
    }

    async fn unidirectional(&self, connection: Connection, mut receive: RecvStream) {
        let first = first_bytes(&mut receive).await;
        self.started.notify_one();
        if let Some(send) = open_uni(&connection).await {
            copy(send, receive, &first.unwrap_or_default()).await;
        }
    }

    fn datagram(&self, connection: &Connection, payload: &[u8]) {
        Echo.datagram(connection, payload);
    }
}

/// `push`: the server opens streams and sends datagrams.
struct Push {
    uni: u64,
    bidi: u64,
    bytes: usize,
    fin: bool,
    datagrams: u64,
    datagram_bytes: usize,
    interval: Duration,
    after: Duration,
}

impl Push {
    fn new(parameters: &Parameters) -> Result<Self, Impossible> {
        Ok(Self {
            uni: parameters.count("uni")?,
            bidi: parameters.count("bidi")?,
            bytes: parameters.bytes("bytes")?,
            fin: parameters.flag("fin", true)?,
            datagrams: parameters.count("datagrams")?,
            datagram_bytes: parameters.bytes("datagram_bytes")?,
            interval: parameters.milliseconds("interval_ms")?,
            after: parameters.milliseconds("after_ms")?,
        })
    }

    async fn run(self, connection: &Connection) {
        let acting = async {
            sleep(self.after).await;
            tokio::join!(
                self.push_streams(connection),
                self.push_datagrams(connection)
            );
        };
        tokio::join!(acting, converse(connection, Echo));
    }

    async fn push_streams(&self, connection: &Connection) {
        for _ in 0..self.uni {
            let Some(send) = open_uni(connection).await else {
                return;
            };
            tokio::spawn(fill(connection.clone(), send, self.bytes, self.fin));
        }
        for _ in 0..self.bidi {
            let Some((send, receive)) = open_bi(connection).await else {
                return;
            };
            tokio::spawn(fill(connection.clone(), send, self.bytes, self.fin));
            tokio::spawn(discard(receive));
        }
    }

    async fn push_datagrams(&self, connection: &Connection) {
        for _ in 0..self.datagrams {
            let _ = connection.send_datagram(pattern(self.datagram_bytes));
            sleep(self.interval).await;
        }
    }
}

/// Sends the pattern and finishes the stream, or keeps it open as long as the session lasts.
async fn fill(connection: Connection, mut send: SendStream, bytes: usize, fin: bool) {
    if send.write_all(&pattern(bytes)).await.is_err() {
        return;
    }
    if fin {
        let _ = send.finish().await;
    } else {
        connection.closed().await;
    }
}

/// `reset`: the server resets its own streams and those of the client.
#[derive(Clone)]
struct Reset {
    code: VarInt,
    uni: u64,
    bidi: u64,
    bytes: usize,
    stop: bool,
}

impl Reset {
    fn new(parameters: &Parameters) -> Result<Self, Impossible> {
        Ok(Self {
            code: VarInt::from_u32(parameters.code()?),
            uni: parameters.count("uni")?,
            bidi: parameters.count("bidi")?,
            bytes: parameters.bytes("bytes")?,
            stop: parameters.flag("stop", false)?,
        })
    }

    async fn run(self, connection: &Connection) {
        tokio::join!(
            self.reset_own(connection),
            converse(connection, self.clone())
        );
    }

    async fn reset_own(&self, connection: &Connection) {
        for _ in 0..self.uni {
            let Some(mut send) = open_uni(connection).await else {
                return;
            };
            let _ = send.write_all(&pattern(self.bytes)).await;
            abort(&mut send, self.code);
        }
        for _ in 0..self.bidi {
            let Some((mut send, receive)) = open_bi(connection).await else {
                return;
            };
            let _ = send.write_all(&pattern(self.bytes)).await;
            self.abort_both(&mut send, receive);
        }
    }

    fn abort_both(&self, send: &mut SendStream, receive: RecvStream) {
        abort(send, self.code);
        if self.stop {
            receive.stop(self.code);
        } else {
            tokio::spawn(discard(receive));
        }
    }
}

impl Conversation for Reset {
    async fn bidirectional(&self, mut send: SendStream, mut receive: RecvStream) {
        let _ = first_bytes(&mut receive).await;
        self.abort_both(&mut send, receive);
    }

    async fn unidirectional(&self, _: Connection, mut receive: RecvStream) {
        let _ = first_bytes(&mut receive).await;
        receive.stop(self.code);
    }

    fn datagram(&self, connection: &Connection, payload: &[u8]) {
        Echo.datagram(connection, payload);
    }
}
