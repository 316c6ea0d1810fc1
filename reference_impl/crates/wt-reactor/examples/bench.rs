//! Throughput and latency of the native API, as two processes over loopback.
//!
//! `bench server [ip:port]` prints its address and serves until its standard input ends.
//! `bench client ip:port WHAT COUNT` prints one line of JSON. WHAT:
//! `up` and `down` (COUNT bytes on one stream), `requests` (COUNT times 64 bytes on fresh streams, one after the
//! other), `concurrent` (the same, 100 at a time), `datagrams` (COUNT round trips), `sessions` (COUNT, each on its
//! own connection).
#![allow(clippy::unwrap_used)]

use std::{
    collections::{HashMap, HashSet},
    env,
    io::Read as _,
    time::{Duration, Instant},
};

use bytes::Bytes;
use wt_reactor::{
    AcceptOptions, Config, ConnectRequest, Dir, Endpoint, Event, Handle, Read, Role, Verify,
    generate_self_signed,
};

const PIECE: usize = 64 << 10;
/// Prefix of a request for that many bytes
const DOWN: &[u8] = b"down ";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server"] => serve("127.0.0.1:0"),
        ["server", address] => serve(address),
        ["client", address, what, count] => {
            let mut client = Client::new(address);
            let count = count.parse().unwrap();
            let start = Instant::now();
            let mut times = match what {
                "up" => client.up(count),
                "down" => client.down(count),
                "requests" => client.requests(count, 1),
                "concurrent" => client.requests(count, 100),
                "datagrams" => client.datagrams(count),
                "sessions" => client.sessions(count),
                _ => panic!("unknown benchmark {what}"),
            };
            let seconds = start.elapsed().as_secs_f64();
            times.sort_unstable();
            let at = |part: usize| times.get(times.len() * part / 100).map_or(0, |x| x.as_micros());
            println!(
                "{{\"what\": \"{what}\", \"count\": {count}, \"seconds\": {seconds:.6}, \"per_second\": {:.1}, \
                 \"p50_us\": {}, \"p99_us\": {}}}",
                count as f64 / seconds,
                at(50),
                at(99)
            );
        }
        _ => panic!("see the source for the arguments"),
    }
}

fn serve(address: &str) {
    let (certificate, key) = generate_self_signed("localhost", 10).unwrap();
    let mut config = Config::new(Role::Server);
    config.bind = vec![address.parse().unwrap()];
    config.tls.certificate = Some(certificate.into());
    config.tls.private_key = Some(key.into());
    let endpoint = Endpoint::new(config).unwrap();
    println!("{}", endpoint.local_addresses()[0]);
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let mut events = Vec::new();
    let mut server = Server { endpoint, heads: HashMap::new(), down: HashMap::new() };
    loop {
        server.endpoint.wait(None);
        server.endpoint.drain(4096, &mut events);
        events.drain(..).for_each(|x| server.event(x));
    }
}

/// Echoes small requests, swallows long ones, sends what is asked for.
struct Server {
    endpoint: Endpoint,
    /// Streams that are not at their end, with what they began with
    heads: HashMap<Handle, Vec<u8>>,
    /// Bytes that are still to be sent
    down: HashMap<Handle, usize>,
}

impl Server {
    fn event(&mut self, event: Event) {
        match event {
            Event::SessionRequest { session, .. } => {
                self.endpoint.accept_session(session, AcceptOptions::default()).unwrap();
            }
            Event::Readable { stream } => self.read(stream),
            Event::Writable { stream } => self.send(stream),
            Event::Datagrams { session, payloads } => {
                for payload in payloads {
                    let _ = self.endpoint.send_datagram(session, &payload);
                }
            }
            _ => {}
        }
    }

    fn read(&mut self, stream: Handle) {
        let head = self.heads.entry(stream).or_default();
        loop {
            match self.endpoint.read(stream, usize::MAX) {
                Ok(Ok(Read::Data(pieces))) if head.len() < 64 => head.extend(pieces.concat()),
                Ok(Ok(Read::Data(_))) => {}
                Ok(Ok(Read::Nothing)) => return,
                _ => break,
            }
        }
        let head = self.heads.remove(&stream).unwrap();
        if let Some(count) = head.strip_prefix(DOWN) {
            self.down.insert(stream, std::str::from_utf8(count).unwrap().parse().unwrap());
            self.send(stream);
        } else {
            let echo = Bytes::from(head).slice(..).split_to(64);
            let _ = self.endpoint.write(stream, echo, true);
        }
    }

    fn send(&mut self, stream: Handle) {
        let Some(left) = self.down.get_mut(&stream) else { return };
        let piece = Bytes::from_static(&[1; PIECE]);
        while *left > 0 {
            let count = PIECE.min(*left);
            match self.endpoint.write(stream, piece.slice(..count), count == *left) {
                Ok(true) => *left -= count,
                Ok(false) => return,
                Err(_) => break,
            }
        }
        self.down.remove(&stream);
    }
}

struct Client {
    endpoint: Endpoint,
    address: std::net::SocketAddr,
    session: Handle,
    events: Vec<Event>,
}

impl Client {
    fn new(address: &str) -> Self {
        let mut config = Config::new(Role::Client);
        config.bind = vec!["127.0.0.1:0".parse().unwrap()];
        config.tls.verify = Verify::None;
        let endpoint = Endpoint::new(config).unwrap();
        let mut client = Self { endpoint, address: address.parse().unwrap(), session: 0, events: Vec::new() };
        client.session = client.connect().1;
        client
    }

    fn poll(&mut self) -> Vec<Event> {
        self.events.clear();
        self.endpoint.wait(None);
        self.endpoint.drain(4096, &mut self.events);
        std::mem::take(&mut self.events)
    }

    fn connect(&mut self) -> (Handle, Handle) {
        let connection = self.endpoint.connect(self.address, "localhost").unwrap();
        let request =
            ConnectRequest { authority: "localhost".to_owned(), path: "/".to_owned(), ..Default::default() };
        let session = self.endpoint.request_session(connection, request).unwrap();
        loop {
            for event in self.poll() {
                match event {
                    Event::SessionReady { session: ready, .. } if ready == session => {
                        return (connection, session);
                    }
                    Event::SessionRejected { .. } => panic!("{event:?}"),
                    _ => {}
                }
            }
        }
    }

    fn up(&mut self, count: usize) -> Vec<Duration> {
        let stream = self.endpoint.open_stream(self.session, Dir::Bidi).unwrap();
        let piece = Bytes::from_static(&[1; PIECE]);
        let mut left = count;
        loop {
            while left > 0 {
                let count = PIECE.min(left);
                if !self.endpoint.write(stream, piece.slice(..count), count == left).unwrap() {
                    break;
                }
                left -= count;
            }
            self.poll();
            if left == 0 && self.receive(stream).1 {
                return Vec::new();
            }
        }
    }

    fn down(&mut self, count: usize) -> Vec<Duration> {
        let stream = self.endpoint.open_stream(self.session, Dir::Bidi).unwrap();
        let request = [DOWN, count.to_string().as_bytes()].concat();
        self.endpoint.write(stream, request.into(), true).unwrap();
        let mut received = 0;
        loop {
            let (bytes, end) = self.receive(stream);
            received += bytes;
            if end {
                assert_eq!(received, count);
                return Vec::new();
            }
            self.poll();
        }
    }

    /// Bytes that have arrived, and whether that was the end.
    fn receive(&mut self, stream: Handle) -> (usize, bool) {
        let mut bytes = 0;
        loop {
            match self.endpoint.read(stream, usize::MAX).unwrap().unwrap() {
                Read::Data(pieces) => bytes += pieces.iter().map(Bytes::len).sum::<usize>(),
                Read::Fin => return (bytes, true),
                Read::Nothing => return (bytes, false),
            }
        }
    }

    fn requests(&mut self, count: usize, at_a_time: usize) -> Vec<Duration> {
        let (mut times, mut running, mut started) = (Vec::with_capacity(count), HashMap::new(), 0);
        let mut readable = HashSet::new();
        while times.len() < count {
            while running.len() < at_a_time && started < count {
                let stream = self.endpoint.open_stream(self.session, Dir::Bidi).unwrap();
                self.endpoint.write(stream, Bytes::from_static(&[1; 64]), true).unwrap();
                running.insert(stream, (Instant::now(), 0));
                started += 1;
            }
            for event in self.poll() {
                if let Event::Readable { stream } = event {
                    readable.insert(stream);
                }
            }
            for stream in readable.drain() {
                let (bytes, end) = self.receive(stream);
                let Some(state) = running.get_mut(&stream) else { continue };
                state.1 += bytes;
                if end {
                    assert_eq!(state.1, 64);
                    times.push(state.0.elapsed());
                    running.remove(&stream);
                }
            }
        }
        times
    }

    fn datagrams(&mut self, count: usize) -> Vec<Duration> {
        (0..count)
            .map(|_| {
                let start = Instant::now();
                assert!(self.endpoint.send_datagram(self.session, &[1; 64]).unwrap());
                while !self.poll().iter().any(|x| matches!(x, Event::Datagrams { .. })) {}
                start.elapsed()
            })
            .collect()
    }

    fn sessions(&mut self, count: usize) -> Vec<Duration> {
        (0..count)
            .map(|_| {
                let start = Instant::now();
                let (connection, _) = self.connect();
                let time = start.elapsed();
                self.endpoint.close_connection(connection, 0x100, "").unwrap();
                time
            })
            .collect()
    }
}
