//! The workloads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use bytes::{Bytes, BytesMut};

use crate::{
    CHUNK, IDLE_SESSIONS, Peer, Receiver, Sender, Session, WARM_UP, WARM_UP_SESSIONS, request,
    usage::cpu_seconds,
};

/// As in `wire.py`
const STEP: Duration = Duration::from_millis(400);
const TICK: Duration = Duration::from_millis(1);
const WANTED_SHARE: f64 = 0.95;
const HIGHEST_RATE: f64 = 2e6;

/// What a workload gives: names and values.
pub type Figures = Vec<(&'static str, f64)>;

pub(crate) async fn run<P: Peer>(port: u16, workload: &str, amount: usize) -> Result<Figures> {
    let peer = P::client(port)?;
    let session = peer.connect().await?;
    if !matches!(workload, "sessions" | "memory") {
        for _ in 0..WARM_UP {
            exchange(&session, request()).await?;
        }
    }
    let before = cpu_seconds();
    let mut figures = match workload {
        "bulk_up" => rate(amount, up(session, amount)).await?,
        "bulk_down" => rate(amount, down(session, amount)).await?,
        "bulk_duplex" => {
            let both = async { tokio::try_join!(up(session.clone(), amount), down(session, amount)) };
            rate(2 * amount, async { both.await.map(|_| ()) }).await?
        }
        "latency" => latency(session, amount).await?,
        "concurrent" => concurrent(session, amount).await?,
        "datagram_rtt" => datagram_rtt(session, amount).await?,
        "datagram_rate" => datagram_rate(session, amount as f64).await?,
        "sessions" => sessions(&peer, amount).await?,
        "memory" => memory(&peer).await?,
        _ => bail!("unknown workload {workload}"),
    };
    figures.push(("client_cpu_s", cpu_seconds() - before));
    Ok(figures)
}

/// One line of JSON.
pub fn show(figures: &[(&str, f64)]) {
    let members: Vec<_> = figures.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    println!("{{{}}}", members.join(", "));
}

/// The value below which a share of all lies.
pub fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

async fn exchange<S: Session>(session: &S, data: Bytes) -> Result<Bytes> {
    let (mut sender, mut receiver) = session.open().await?;
    sender.write(data).await?;
    sender.finish().await?;
    let mut answer = BytesMut::new();
    while let Some(data) = receiver.read().await? {
        answer.extend_from_slice(&data);
    }
    Ok(answer.freeze())
}

async fn number<S: Session>(session: &S, question: &'static [u8]) -> Result<u64> {
    let answer = exchange(session, Bytes::from_static(question)).await?;
    Ok(u64::from_be_bytes(answer[..].try_into()?))
}

async fn rate(bytes: usize, transfer: impl Future<Output = Result<()>>) -> Result<Figures> {
    let begin = Instant::now();
    transfer.await?;
    Ok(vec![("bytes_per_s", bytes as f64 / begin.elapsed().as_secs_f64())])
}

async fn up<S: Session>(session: S, amount: usize) -> Result<()> {
    let (mut sender, mut receiver) = session.open().await?;
    sender.write(Bytes::from_static(b"s")).await?;
    let (chunk, mut left) = (Bytes::from_static(&[0; CHUNK]), amount);
    while left > 0 {
        let size = left.min(CHUNK);
        sender.write(chunk.slice(..size)).await?;
        left -= size;
    }
    sender.finish().await?;
    let mut answer = BytesMut::new();
    while let Some(data) = receiver.read().await? {
        answer.extend_from_slice(&data);
    }
    ensure!(u64::from_be_bytes(answer[..].try_into()?) == amount as u64, "octets were lost");
    Ok(())
}

async fn down<S: Session>(session: S, amount: usize) -> Result<()> {
    let (mut sender, mut receiver) = session.open().await?;
    let mut question = BytesMut::from(&b"d"[..]);
    question.extend_from_slice(&(amount as u64).to_be_bytes());
    sender.write(question.freeze()).await?;
    sender.finish().await?;
    let mut total = 0;
    while let Some(data) = receiver.read().await? {
        total += data.len();
    }
    ensure!(total == amount, "octets were lost");
    Ok(())
}

async fn latency<S: Session>(session: S, count: usize) -> Result<Figures> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        exchange(&session, request()).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(vec![("p50_us", quantile(&mut times, 0.5)), ("p99_us", quantile(&mut times, 0.99))])
}

async fn concurrent<S: Session>(session: S, count: usize) -> Result<Figures> {
    let begin = Instant::now();
    let started = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..100)
        .map(|_| {
            let (session, started) = (session.clone(), started.clone());
            tokio::spawn(async move {
                while started.fetch_add(1, Relaxed) < count {
                    ensure!(exchange(&session, request()).await?.len() == 64, "octets were lost");
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(vec![("requests_per_s", count as f64 / begin.elapsed().as_secs_f64())])
}

async fn datagram_rtt<S: Session>(session: S, count: usize) -> Result<Figures> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        session.send_datagram(request())?;
        if tokio::time::timeout(Duration::from_secs(1), session.receive_datagram()).await.is_ok() {
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }
    ensure!(times.len() >= count / 2, "most datagrams were lost");
    Ok(vec![("p50_us", quantile(&mut times, 0.5))])
}

async fn datagram_rate<S: Session>(session: S, start: f64) -> Result<Figures> {
    let mut search = Search::new(start);
    while let Some(rate) = search.next() {
        let before = number(&session, b"n").await?;
        let (count, begin) = ((rate * STEP.as_secs_f64()) as usize, Instant::now());
        let payload = payload();
        let mut sent = 0;
        while sent < count {
            let due = count.min((begin.elapsed().as_secs_f64() * rate) as usize + 1);
            for _ in sent..due {
                session.send_datagram(payload.clone())?;
            }
            sent = due;
            tokio::time::sleep(TICK).await;
        }
        let took = begin.elapsed();
        let (mut received, mut last, mut until) = (0, u64::MAX, took);
        while received != last {
            (last, until) = (received, begin.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
            received = number(&session, b"n").await? - before;
        }
        search.result(count, Step { received: received as usize, took, until });
    }
    Ok(vec![("datagrams_per_s", search.best)])
}

/// What is sent by the search for the highest rate.
fn payload() -> Bytes {
    let mut payload = vec![0; 1000];
    payload[0] = b'c';
    payload.into()
}

/// Datagrams of one rate.
pub struct Step {
    /// How many arrived
    pub received: usize,
    /// How long the sending took
    pub took: Duration,
    /// How long until all had arrived
    pub until: Duration,
}

/// The search for the highest rate for a session that sends and asks by itself.
///
/// `step` sends `count` datagrams at `rate`.
pub fn datagram_search(start: f64, mut step: impl FnMut(f64, usize, &Bytes) -> Result<Step>) -> Result<f64> {
    let (mut search, payload) = (Search::new(start), payload());
    while let Some(rate) = search.next() {
        let count = (rate * STEP.as_secs_f64()) as usize;
        search.result(count, step(rate, count, &payload)?);
    }
    Ok(search.best)
}

/// As in `wire.py`: doubles up to the first rate that fails twice, then halves the interval four times; if the
/// start fails, the rate is halved until one succeeds.
struct Search {
    best: f64,
    good: f64,
    bad: Option<f64>,
    rate: f64,
    failed_once: bool,
    refinements: usize,
}

impl Search {
    fn new(start: f64) -> Self {
        Self { best: 0.0, good: 0.0, bad: None, rate: start, failed_once: false, refinements: 0 }
    }

    fn next(&self) -> Option<f64> {
        (self.refinements <= 4 && (1.0..=HIGHEST_RATE).contains(&self.rate)).then_some(self.rate)
    }

    fn result(&mut self, count: usize, Step { received, took, until }: Step) {
        let in_time = took < STEP.mul_f64(1.25) && until < STEP.mul_f64(1.5);
        if received as f64 >= WANTED_SHARE * count as f64 && in_time {
            self.best = self.best.max(received as f64 / took.max(STEP).as_secs_f64());
            self.good = self.rate;
        } else if !std::mem::replace(&mut self.failed_once, true) {
            return;
        } else {
            self.bad = Some(self.rate);
        }
        self.failed_once = false;
        self.rate = match self.bad {
            None => self.rate * 2.0,
            Some(bad) => {
                self.refinements += usize::from(self.good > 0.0);
                if self.good == 0.0 { bad / 2.0 } else { (self.good * bad).sqrt() }
            }
        };
    }
}

async fn sessions<P: Peer>(peer: &P, count: usize) -> Result<Figures> {
    let mut times = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        let begin = Instant::now();
        let session = peer.connect().await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        session.close();
    }
    let per_second = count as f64 / start.elapsed().as_secs_f64();
    Ok(vec![("sessions_per_s", per_second), ("p50_us", quantile(&mut times, 0.5))])
}

async fn memory<P: Peer>(peer: &P) -> Result<Figures> {
    let mut sessions = Vec::new();
    for _ in 0..WARM_UP_SESSIONS {
        sessions.push(peer.connect().await?);
    }
    let before = number(&sessions[0], b"m").await?;
    for _ in 0..IDLE_SESSIONS {
        sessions.push(peer.connect().await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = number(&sessions[0], b"m").await?;
    Ok(vec![("bytes_per_session", after.saturating_sub(before) as f64 / IDLE_SESSIONS as f64)])
}
