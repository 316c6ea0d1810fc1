//! Two endpoints over loopback, driven from one thread.
#![allow(dead_code)]

use std::{
    collections::{HashMap, VecDeque},
    mem,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use wt_reactor::{
    AcceptOptions, Answer, Config, ConnectRequest, Dir, Endpoint, Event, Failure, Handle, Read, ReadError,
    Role, Verify, generate_self_signed,
};

/// Longer than anything takes; only a test that fails waits for it
pub const DEADLINE: Duration = Duration::from_secs(20);

pub fn server_config() -> Config {
    let (certificate, key) = generate_self_signed("localhost", 10).unwrap();
    let mut config = Config::new(Role::Server);
    config.bind = vec!["127.0.0.1:0".parse().unwrap()];
    config.tls.certificate = Some(certificate.into());
    config.tls.private_key = Some(key.into());
    config
}

pub fn client_config() -> Config {
    let mut config = Config::new(Role::Client);
    config.bind = vec!["127.0.0.1:0".parse().unwrap()];
    config.tls.verify = Verify::None;
    config
}

pub fn request(path: &str) -> ConnectRequest {
    ConnectRequest { authority: "localhost".to_owned(), path: path.to_owned(), ..Default::default() }
}

/// FIN or reset.
type End = Result<(), ReadError>;

/// An endpoint and what it has said.
pub struct Side {
    pub endpoint: Endpoint,
    pub events: VecDeque<Event>,
    /// What was read of each stream, and its end
    pub received: HashMap<Handle, (Vec<u8>, Option<End>)>,
}

impl Side {
    pub fn new(config: Config) -> Self {
        let endpoint = Endpoint::new(config).unwrap();
        Self { endpoint, events: VecDeque::new(), received: HashMap::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.endpoint.local_addresses()[0]
    }

    /// Takes what there is. Waits for it a little at most.
    pub fn poll(&mut self) {
        self.endpoint.wait(Some(Duration::from_millis(1)));
        let mut events = Vec::new();
        self.endpoint.drain(4096, &mut events);
        self.events.extend(events);
    }

    /// Removes the first event that `pick` takes; those before it stay.
    pub fn expect<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let found = self.events.iter().enumerate().find_map(|(i, x)| Some((i, pick(x)?)));
            if let Some((index, result)) = found {
                self.events.remove(index);
                return result;
            }
            assert!(Instant::now() < deadline, "no {what} among {:?}", self.events);
            self.poll();
        }
    }

    /// Reads all that has arrived of a stream. `true`: that was the end.
    pub fn read(&mut self, stream: Handle) -> bool {
        let (data, end) = self.received.entry(stream).or_default();
        while end.is_none() {
            match self.endpoint.read(stream, usize::MAX) {
                Ok(Ok(Read::Data(pieces))) => pieces.iter().for_each(|x| data.extend_from_slice(x)),
                Ok(Ok(Read::Fin)) => *end = Some(Ok(())),
                Ok(Err(error)) => *end = Some(Err(error)),
                Ok(Ok(Read::Nothing)) => return false,
                Err(failure) => panic!("{failure}"),
            }
        }
        true
    }

    pub fn read_to_end(&mut self, stream: Handle) -> (Vec<u8>, End) {
        while !self.read(stream) {
            self.expect("Readable", |x| {
                matches!(x, Event::Readable { stream: y } if *y == stream).then_some(())
            });
        }
        let (data, end) = self.received.remove(&stream).unwrap();
        (data, end.unwrap())
    }

    pub fn incoming(&mut self) -> Handle {
        self.expect("StreamIncoming", |x| match x {
            Event::StreamIncoming { stream, .. } => Some(*stream),
            _ => None,
        })
    }

    /// Writes all, waiting for room.
    pub fn write(&mut self, stream: Handle, data: impl Into<Bytes>, fin: bool) {
        let data = data.into();
        while !self.endpoint.write(stream, data.clone(), fin).unwrap() {
            self.expect("Writable", |x| {
                matches!(x, Event::Writable { stream: y } if *y == stream).then_some(())
            });
        }
    }

    pub fn answer(&mut self, token: Result<Handle, Failure>) -> Answer {
        let (token, mut result) = (token.unwrap(), None);
        let deadline = Instant::now() + DEADLINE;
        while result.is_none() {
            assert!(Instant::now() < deadline, "no answer");
            self.poll();
            self.events = mem::take(&mut self.events)
                .into_iter()
                .filter_map(|x| match x {
                    Event::Answer { token: y, answer } if y == token => {
                        result = Some(answer);
                        None
                    }
                    other => Some(other),
                })
                .collect();
        }
        result.unwrap()
    }

    pub fn stats(&mut self, connection: Handle) -> Box<wt_reactor::ConnectionStats> {
        match self.answer(self.endpoint.connection_stats(connection)) {
            Answer::Stats(stats, _) => stats,
            other => panic!("{other:?}"),
        }
    }
}

/// A client and a server with one session.
pub struct Pair {
    pub server: Side,
    pub client: Side,
    pub client_connection: Handle,
    pub server_connection: Handle,
    pub client_session: Handle,
    pub server_session: Handle,
}

impl Pair {
    pub fn new() -> Self {
        Self::with(server_config(), client_config())
    }

    pub fn with(server: Config, client: Config) -> Self {
        let (mut server, mut client) = (Side::new(server), Side::new(client));
        let client_connection = client.endpoint.connect(server.address(), "localhost").unwrap();
        let client_session = client.endpoint.request_session(client_connection, request("/echo")).unwrap();
        let (server_connection, server_session) = server.expect("SessionRequest", |x| match x {
            Event::SessionRequest { connection, session, .. } => Some((*connection, *session)),
            _ => None,
        });
        server.endpoint.accept_session(server_session, AcceptOptions::default()).unwrap();
        client.expect("SessionReady", |x| matches!(x, Event::SessionReady { .. }).then_some(()));
        Self { server, client, client_connection, server_connection, client_session, server_session }
    }

    pub fn open(&mut self, dir: Dir) -> Handle {
        self.client.endpoint.open_stream(self.client_session, dir).unwrap()
    }
}

/// Bytes without a period that a lost, repeated or misplaced piece could hide behind.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}
