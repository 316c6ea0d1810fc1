//! The core of the reference without Python: one application thread that waits for events, as its interface has it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use native_peers::{
    CHUNK, IDLE_SESSIONS, STREAMS, Step, Task, WARM_UP, WARM_UP_SESSIONS, cpu_seconds, datagram_search,
    quantile, read_file, ready, request, resident_bytes, show, task,
};
use wt_reactor::{AcceptOptions, Config, ConnectRequest, Dir, Endpoint, Event, Handle, Read, Role, Verify};

type Figures = Vec<(&'static str, f64)>;

fn main() -> Result<()> {
    match task()? {
        Task::Server { port, cert, key } => serve(port, &cert, &key),
        Task::Client { port, workload, amount } => {
            let mut client = Client::new(port)?;
            if !matches!(&workload[..], "sessions" | "memory") {
                client.requests(WARM_UP, 1)?;
            }
            let before = cpu_seconds();
            let mut figures = client.run(&workload, amount)?;
            figures.push(("client_cpu_s", cpu_seconds() - before));
            show(&figures);
            Ok(())
        }
    }
}

fn config(role: Role, port: u16) -> Config {
    let mut config = Config::new(role);
    config.bind = vec![SocketAddr::from(([127, 0, 0, 1], port))];
    config.transport.max_bidi_streams = STREAMS.into();
    config.core.initial_max_streams_bidi = STREAMS.into();
    config.core.initial_max_data = 64 << 20;
    config
}

fn serve(port: u16, cert: &str, key: &str) -> Result<()> {
    let mut config = config(Role::Server, port);
    config.tls.certificate = Some(read_file(cert)?);
    config.tls.private_key = Some(read_file(key)?);
    let endpoint = Endpoint::new(config)?;
    let mut server =
        Server { endpoint, work: HashMap::new(), sessions: HashMap::new(), datagrams: HashMap::new() };
    ready();
    let mut events = Vec::new();
    loop {
        server.endpoint.wait(None);
        server.endpoint.drain(4096, &mut events);
        events.drain(..).for_each(|x| server.event(x));
    }
}

/// What is left to do for a stream.
enum Work {
    /// The first octets so far, and the number of all
    Receive(Vec<u8>, u64),
    /// So many octets
    Send(usize),
}

struct Server {
    endpoint: Endpoint,
    work: HashMap<Handle, Work>,
    /// Of a stream
    sessions: HashMap<Handle, Handle>,
    /// Received by a session
    datagrams: HashMap<Handle, u64>,
}

impl Server {
    fn event(&mut self, event: Event) {
        match event {
            Event::SessionRequest { session, .. } => {
                let _ = self.endpoint.accept_session(session, AcceptOptions::default());
            }
            Event::StreamIncoming { session, stream, .. } => {
                self.sessions.insert(stream, session);
                self.work.insert(stream, Work::Receive(Vec::new(), 0));
            }
            Event::Readable { stream } => self.read(stream),
            Event::Writable { stream } => self.send(stream),
            Event::Datagrams { session, payloads } => {
                *self.datagrams.entry(session).or_default() += payloads.len() as u64;
                for payload in payloads.iter().filter(|x| x.first() == Some(&b'e')) {
                    let _ = self.endpoint.send_datagram(session, payload);
                }
            }
            Event::SessionClosed { session, .. } => {
                self.datagrams.remove(&session);
            }
            _ => {}
        }
    }

    fn read(&mut self, stream: Handle) {
        let Some(Work::Receive(head, total)) = self.work.get_mut(&stream) else { return };
        loop {
            match self.endpoint.read(stream, usize::MAX) {
                Ok(Ok(Read::Data(pieces))) => {
                    *total += pieces.iter().map(|x| x.len() as u64).sum::<u64>();
                    if head.len() < 64 {
                        pieces.iter().for_each(|x| head.extend_from_slice(x));
                    }
                }
                Ok(Ok(Read::Nothing)) => return,
                _ => break,
            }
        }
        let (head, total) = (std::mem::take(head), *total);
        let session = self.sessions.remove(&stream).unwrap_or_default();
        let number = |x: u64| Bytes::copy_from_slice(&x.to_be_bytes());
        let answer = match head.first() {
            Some(b'e') => head.into(),
            Some(b's') => number(total - 1),
            Some(b'n') => number(self.datagrams.get(&session).copied().unwrap_or_default()),
            Some(b'm') => number(resident_bytes()),
            Some(b'd') => {
                let size = head[1..9].try_into().map_or(0, u64::from_be_bytes);
                self.work.insert(stream, Work::Send(size as usize));
                return self.send(stream);
            }
            _ => Bytes::new(),
        };
        self.work.remove(&stream);
        let _ = self.endpoint.write(stream, answer, true);
    }

    fn send(&mut self, stream: Handle) {
        let Some(Work::Send(left)) = self.work.get_mut(&stream) else { return };
        if matches!(push(&self.endpoint, stream, left), Ok(false)) {
            return;
        }
        self.work.remove(&stream);
    }
}

/// Writes what is left as far as it is taken. `true`: everything.
fn push(endpoint: &Endpoint, stream: Handle, left: &mut usize) -> Result<bool> {
    let chunk = Bytes::from_static(&[0; CHUNK]);
    while *left > 0 {
        let size = CHUNK.min(*left);
        if !endpoint.write(stream, chunk.slice(..size), size == *left)? {
            return Ok(false);
        }
        *left -= size;
    }
    Ok(true)
}

struct Client {
    endpoint: Endpoint,
    address: SocketAddr,
    session: Handle,
    events: Vec<Event>,
}

impl Client {
    fn new(port: u16) -> Result<Self> {
        let mut config = config(Role::Client, 0);
        config.tls.verify = Verify::None;
        let (endpoint, address) = (Endpoint::new(config)?, SocketAddr::from(([127, 0, 0, 1], port)));
        let mut client = Self { endpoint, address, session: 0, events: Vec::new() };
        client.session = client.connect()?.1;
        Ok(client)
    }

    fn run(&mut self, workload: &str, amount: usize) -> Result<Figures> {
        let begin = Instant::now();
        Ok(match workload {
            "bulk_up" | "bulk_down" | "bulk_duplex" => {
                let up = if workload == "bulk_down" { 0 } else { amount };
                let down = if workload == "bulk_up" { 0 } else { amount };
                self.bulk(up, down)?;
                vec![("bytes_per_s", (up + down) as f64 / begin.elapsed().as_secs_f64())]
            }
            "latency" => {
                let mut times = self.requests(amount, 1)?;
                vec![("p50_us", quantile(&mut times, 0.5)), ("p99_us", quantile(&mut times, 0.99))]
            }
            "concurrent" => {
                self.requests(amount, 100)?;
                vec![("requests_per_s", amount as f64 / begin.elapsed().as_secs_f64())]
            }
            "datagram_rtt" => vec![("p50_us", quantile(&mut self.round_trips(amount)?, 0.5))],
            "datagram_rate" => vec![("datagrams_per_s", self.datagram_rate(amount as f64)?)],
            "sessions" => {
                let mut times = self.sessions(amount)?;
                let rate = amount as f64 / begin.elapsed().as_secs_f64();
                vec![("sessions_per_s", rate), ("p50_us", quantile(&mut times, 0.5))]
            }
            "memory" => vec![("bytes_per_session", self.memory()?)],
            _ => bail!("unknown workload {workload}"),
        })
    }

    fn poll(&mut self) -> Vec<Event> {
        self.endpoint.wait(None);
        self.endpoint.drain(4096, &mut self.events);
        std::mem::take(&mut self.events)
    }

    /// A session on a connection of its own, named last.
    fn connect(&mut self) -> Result<(Handle, Handle)> {
        let connection = self.endpoint.connect(self.address, "localhost")?;
        let request =
            ConnectRequest { authority: "localhost".to_owned(), path: "/".to_owned(), ..Default::default() };
        let session = self.endpoint.request_session(connection, request)?;
        loop {
            for event in self.poll() {
                match event {
                    Event::SessionReady { session: ready, .. } if ready == session => {
                        return Ok((connection, session));
                    }
                    Event::SessionRejected { reason, .. } => bail!("refused: {reason}"),
                    _ => {}
                }
            }
        }
    }

    fn open(&self, request: Bytes, fin: bool) -> Result<Handle> {
        let stream = self.endpoint.open_stream(self.session, Dir::Bidi)?;
        self.endpoint.write(stream, request, fin)?;
        Ok(stream)
    }

    /// Octets that have arrived, and whether that was the end. The first are kept.
    fn receive(&self, stream: Handle, head: &mut Vec<u8>) -> Result<(usize, bool)> {
        let mut bytes = 0;
        loop {
            match self.endpoint.read(stream, usize::MAX)? {
                Ok(Read::Data(pieces)) => {
                    bytes += pieces.iter().map(Bytes::len).sum::<usize>();
                    if head.len() < 64 {
                        pieces.iter().for_each(|x| head.extend_from_slice(x));
                    }
                }
                Ok(Read::Fin) => return Ok((bytes, true)),
                Ok(Read::Nothing) => return Ok((bytes, false)),
                Err(_) => bail!("the stream was reset"),
            }
        }
    }

    fn number(&mut self, question: &'static [u8]) -> Result<u64> {
        let stream = self.open(Bytes::from_static(question), true)?;
        let mut answer = Vec::new();
        while !self.receive(stream, &mut answer)?.1 {
            self.poll();
        }
        Ok(u64::from_be_bytes(answer[..].try_into()?))
    }

    fn bulk(&mut self, up: usize, down: usize) -> Result<()> {
        let question = [&b"d"[..], &(down as u64).to_be_bytes()].concat();
        let mut receiving = if down > 0 { Some((self.open(question.into(), true)?, 0)) } else { None };
        let mut sending = if up > 0 { Some((self.open(Bytes::from_static(b"s"), false)?, up)) } else { None };
        while receiving.is_some() || sending.is_some() {
            if let Some((stream, total)) = &mut receiving {
                let (bytes, end) = self.receive(*stream, &mut vec![0; 64])?;
                *total += bytes;
                if end {
                    ensure!(*total == down, "octets were lost");
                    receiving = None;
                }
            }
            if let Some((stream, left)) = &mut sending
                && push(&self.endpoint, *stream, left)?
            {
                let mut answer = Vec::new();
                if self.receive(*stream, &mut answer)?.1 {
                    ensure!(u64::from_be_bytes(answer[..].try_into()?) == up as u64, "octets were lost");
                    sending = None;
                }
            }
            if receiving.is_some() || sending.is_some() {
                self.poll();
            }
        }
        Ok(())
    }

    /// Microseconds of each.
    fn requests(&mut self, count: usize, at_a_time: usize) -> Result<Vec<f64>> {
        let (mut times, mut running, mut started) = (Vec::with_capacity(count), HashMap::new(), 0);
        while times.len() < count {
            while running.len() < at_a_time && started < count {
                let begin = Instant::now();
                running.insert(self.open(request(), true)?, (begin, Vec::new()));
                started += 1;
            }
            for event in self.poll() {
                let Event::Readable { stream } = event else { continue };
                let Some((begin, answer)) = running.get_mut(&stream) else { continue };
                if self.receive(stream, answer)?.1 {
                    ensure!(answer.len() == 64, "octets were lost");
                    times.push(begin.elapsed().as_secs_f64() * 1e6);
                    running.remove(&stream);
                }
            }
        }
        Ok(times)
    }

    fn round_trips(&mut self, count: usize) -> Result<Vec<f64>> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begin = Instant::now();
            self.endpoint.send_datagram(self.session, &request())?;
            let mut arrived = false;
            while !arrived && begin.elapsed() < Duration::from_secs(1) {
                self.endpoint.wait(Some(Duration::from_secs(1)));
                self.endpoint.drain(4096, &mut self.events);
                arrived = self.events.drain(..).any(|x| matches!(x, Event::Datagrams { .. }));
            }
            if arrived {
                times.push(begin.elapsed().as_secs_f64() * 1e6);
            }
        }
        ensure!(times.len() >= count / 2, "most datagrams were lost");
        Ok(times)
    }

    fn datagram_rate(&mut self, start: f64) -> Result<f64> {
        datagram_search(start, |rate, count, payload| {
            let (before, begin, mut sent) = (self.number(b"n")?, Instant::now(), 0);
            while sent < count {
                let due = count.min((begin.elapsed().as_secs_f64() * rate) as usize + 1);
                for _ in sent..due {
                    self.endpoint.send_datagram(self.session, payload)?;
                }
                sent = due;
                thread::sleep(Duration::from_millis(1));
            }
            let took = begin.elapsed();
            let (mut received, mut last, mut until) = (0, u64::MAX, took);
            while received != last {
                (last, until) = (received, begin.elapsed());
                thread::sleep(Duration::from_millis(50));
                received = self.number(b"n")? - before;
            }
            Ok(Step { received: received as usize, took, until })
        })
    }

    fn sessions(&mut self, count: usize) -> Result<Vec<f64>> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begin = Instant::now();
            let (connection, _) = self.connect()?;
            times.push(begin.elapsed().as_secs_f64() * 1e6);
            self.endpoint.close_connection(connection, 0x100, "")?;
        }
        Ok(times)
    }

    fn memory(&mut self) -> Result<f64> {
        for _ in 0..WARM_UP_SESSIONS {
            self.connect()?;
        }
        let before = self.number(b"m")?;
        for _ in 0..IDLE_SESSIONS {
            self.connect()?;
        }
        thread::sleep(Duration::from_millis(500));
        let after = self.number(b"m")?;
        Ok(after.saturating_sub(before) as f64 / IDLE_SESSIONS as f64)
    }
}
