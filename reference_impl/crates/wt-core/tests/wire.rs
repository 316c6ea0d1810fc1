//! Two endpoints on a virtual wire that cuts bytes anywhere and reorders streams, from a seed.

mod common;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use common::FACTS;
use proptest::prelude::*;
use wt_core::{
    AcceptOptions, Action, Config, ConnectRequest, Connection, Dir, Draft, Event, Feed, Input, QpackStreams,
    Role, SessionEnd, SessionId, StreamId,
};

/// What one side has sent on a stream and the other not yet read
#[derive(Debug, Default)]
struct Half {
    bytes: VecDeque<u8>,
    fin: bool,
    reset: Option<u64>,
    sent: u64,
    stopped: bool,
}

/// How the reader of a stream goes on
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reading {
    #[default]
    Core,
    Held,
    Application,
    Over,
}

struct End {
    conn: Connection,
    role: Role,
    next: [u64; 2],
    outgoing: BTreeMap<StreamId, Half>,
    reading: BTreeMap<StreamId, Reading>,
    received: BTreeMap<StreamId, Vec<u8>>,
    events: Vec<Event>,
    closed: Option<u64>,
}

impl End {
    fn new(role: Role, config: Config) -> Self {
        let mut end = End {
            conn: Connection::new(Arc::new(config), role),
            role,
            next: [0, 0],
            outgoing: BTreeMap::new(),
            reading: BTreeMap::new(),
            received: BTreeMap::new(),
            events: Vec::new(),
            closed: None,
        };
        let control = end.open(Dir::Uni);
        let qpack = Some(QpackStreams { encoder: end.open(Dir::Uni), decoder: end.open(Dir::Uni) });
        end.conn.handle(Input::Established { facts: FACTS, control, qpack });
        end
    }

    fn open(&mut self, dir: Dir) -> StreamId {
        let number = &mut self.next[dir as usize];
        let id = StreamId(*number * 4 + dir as u64 * 2 + u64::from(self.role == Role::Server));
        *number += 1;
        self.outgoing.insert(id, Half::default());
        id
    }

    fn send(&mut self, id: StreamId, data: &[u8], fin: bool) {
        let half = self.outgoing.entry(id).or_default();
        if half.reset.is_none() {
            half.bytes.extend(data);
            half.sent += data.len() as u64;
            half.fin |= fin;
        }
    }

    /// Opens a stream in a session and sends all of `body` that the credit allows.
    fn send_stream(&mut self, session: SessionId, dir: Dir, body: &[u8]) -> Option<StreamId> {
        self.conn.check_open(session, dir).ok()?;
        let id = self.bind(session, dir);
        self.send_body(id, body);
        Some(id)
    }

    /// Opens a stream in a session and sends its header.
    fn bind(&mut self, session: SessionId, dir: Dir) -> StreamId {
        let id = self.open(dir);
        let header = self.conn.bind_stream(session, id).unwrap();
        self.reading.insert(id, Reading::Application);
        self.send(id, &header, false);
        id
    }

    fn send_body(&mut self, id: StreamId, body: &[u8]) {
        self.conn.body_sent(id, body.len() as u64);
        self.send(id, body, true);
        self.conn.send_closed(id);
    }
}

struct Wire {
    ends: [End; 2],
    random: u64,
    stops: VecDeque<(usize, StreamId, u64)>,
    /// Whether the endpoints learn final sizes
    reports: bool,
    datagrams: VecDeque<(usize, Bytes)>,
}

impl Wire {
    fn new(client: Config, server: Config, seed: u64) -> Self {
        let ends = [End::new(Role::Client, client), End::new(Role::Server, server)];
        let (stops, datagrams) = (VecDeque::new(), VecDeque::new());
        let mut wire = Wire { ends, random: seed | 1, stops, reports: true, datagrams };
        wire.collect();
        wire
    }

    /// xorshift
    fn pick(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below as u64) as usize
    }

    /// Carries out the actions of both ends.
    fn collect(&mut self) {
        for index in 0..2 {
            let end = &mut self.ends[index];
            while let Some(action) = end.conn.poll_action() {
                match action {
                    Action::Write { stream, data, fin } => end.send(stream, &data, fin),
                    Action::Reset { stream, code } => {
                        let half = end.outgoing.entry(stream).or_default();
                        half.bytes.clear();
                        half.reset = Some(code);
                    }
                    Action::ResetAt { stream, code, reliable_size } => {
                        let half = end.outgoing.entry(stream).or_default();
                        let delivered = half.sent - half.bytes.len() as u64;
                        half.bytes.truncate(reliable_size.saturating_sub(delivered) as usize);
                        half.reset = Some(code);
                    }
                    Action::Stop { stream, code } => {
                        end.reading.insert(stream, Reading::Over);
                        self.stops.push_back((1 - index, stream, code));
                    }
                    Action::CloseConnection { code, .. } => end.closed = Some(code),
                }
            }
            while let Some(event) = end.conn.poll_event() {
                if let Event::IncomingStream { stream, body, fin, reset, .. } = &event {
                    let over = *fin || reset.is_some();
                    end.reading.insert(*stream, if over { Reading::Over } else { Reading::Application });
                    end.received.insert(*stream, body.to_vec());
                    end.conn.body_consumed(*stream, body.len() as u64);
                    if *fin {
                        end.conn.recv_closed(*stream);
                    }
                }
                end.events.push(event);
            }
        }
    }

    /// Delivers one thing. `false`: nothing is under way.
    fn step(&mut self) -> bool {
        let mut choices = Vec::new();
        for (index, end) in self.ends.iter().enumerate() {
            let peer = &self.ends[1 - index];
            for (id, half) in &end.outgoing {
                let reading = peer.reading.get(id).copied().unwrap_or_default();
                let pending = !half.bytes.is_empty() || half.fin || half.reset.is_some();
                if pending && reading != Reading::Held {
                    choices.push((index, *id));
                }
            }
        }
        let extra = usize::from(!self.stops.is_empty()) + usize::from(!self.datagrams.is_empty());
        if choices.is_empty() && extra == 0 {
            return false;
        }
        let choice = self.pick(choices.len() + extra);
        if let Some((index, id)) = choices.get(choice).copied() {
            self.deliver(index, id);
        } else if let Some((to, id, code)) = self.stops.pop_front() {
            if !std::mem::replace(&mut self.ends[to].outgoing.entry(id).or_default().stopped, true) {
                self.ends[to].conn.handle(Input::StreamStopped { stream: id, code });
            }
        } else if let Some((to, payload)) = self.datagrams.pop_front() {
            self.ends[to].conn.handle(Input::Datagram(payload));
        }
        self.collect();
        true
    }

    fn deliver(&mut self, from: usize, id: StreamId) {
        let length = self.ends[from].outgoing[&id].bytes.len();
        let take = if length == 0 { 0 } else { 1 + self.pick(length) };
        let Some(half) = self.ends[from].outgoing.get_mut(&id) else { return };
        let data: Bytes = half.bytes.drain(..take).collect::<Vec<u8>>().into();
        let last = half.bytes.is_empty();
        let fin = last && half.fin && half.reset.is_none();
        let reset = half.reset.filter(|_| last);
        let final_size = half.sent;
        if fin {
            half.fin = false;
        }
        if reset.is_some() {
            half.reset = None;
            half.fin = false;
        }
        let end = &mut self.ends[1 - from];
        let reading = end.reading.get(&id).copied().unwrap_or_default();
        match reading {
            Reading::Core => {
                let data = Input::StreamData { stream: id, data, fin };
                if !fin && take == 0 {
                    // Only a reset
                } else {
                    let next = match end.conn.handle(data) {
                        Feed::Core => Reading::Core,
                        Feed::Hold => Reading::Held,
                        Feed::Application => Reading::Application,
                        Feed::Discard => Reading::Over,
                    };
                    end.reading.insert(id, next);
                }
            }
            Reading::Application => {
                if end.conn.body_received(id, data.len() as u64) {
                    end.received.entry(id).or_default().extend_from_slice(&data);
                    end.conn.body_consumed(id, data.len() as u64);
                }
                if fin {
                    end.conn.recv_closed(id);
                }
            }
            Reading::Held | Reading::Over => {}
        }
        if let Some(code) = reset
            && (self.reports || reading != Reading::Over)
        {
            let final_size = self.reports.then_some(final_size);
            self.ends[1 - from].conn.handle(Input::StreamReset { stream: id, code, final_size });
        }
    }

    fn run(&mut self) {
        self.collect();
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the wire does not come to rest");
    }

    fn client(&mut self) -> &mut End {
        &mut self.ends[0]
    }

    fn server(&mut self) -> &mut End {
        &mut self.ends[1]
    }

    /// A session that both ends have.
    fn session(&mut self) -> SessionId {
        self.run();
        let client = self.client();
        let stream = client.open(Dir::Bidi);
        let request = ConnectRequest { authority: "a".into(), path: "/".into(), ..Default::default() };
        let session = client.conn.connect(stream, request).unwrap();
        // Optimistic streams and a datagram reach the server in any order (-16 §4.6)
        let early = client.send_stream(session, Dir::Uni, b"early").unwrap();
        let header = client.conn.datagram_header(session).unwrap();
        self.datagrams.push_back((1, [&header[..], b"hello"].concat().into()));
        self.run();
        let asked = |event: &Event| matches!(event, Event::SessionRequest { session: asked, .. } if *asked == session);
        assert!(self.server().events.iter().any(asked));
        self.server().conn.accept(session, AcceptOptions::default()).unwrap();
        self.run();
        assert_eq!(self.server().received[&early], b"early");
        let datagram = Event::Datagram { session, payload: (&b"hello"[..]).into() };
        assert!(self.server().events.contains(&datagram));
        session
    }
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    prop::sample::subsequence(Draft::ALL.to_vec(), 1..=4)
}

fn body(length: usize, salt: u8) -> Vec<u8> {
    (0..length).map(|index| (index as u8).wrapping_mul(31).wrapping_add(salt)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is sent arrives, whatever the order and the cuts, in every draft
    #[test]
    fn streams_arrive(seed: u64, drafts in drafts(), lengths in prop::collection::vec(0usize..300, 1..12)) {
        let config = Config { drafts, initial_max_data: 2000, initial_max_streams_uni: 3, ..Config::default() };
        let mut wire = Wire::new(config.clone(), config, seed);
        let session = wire.session();
        for round in 0..3u8 {
            for (index, length) in lengths.iter().enumerate() {
                let from = index % 2;
                let dir = if index % 3 == 0 { Dir::Uni } else { Dir::Bidi };
                let body = body(*length, round);
                // The other side gives credit as it reads, so neither limit is ever reached
                let id = wire.ends[from].send_stream(session, dir, &body);
                prop_assert!(id.is_some());
                let Some(id) = id else { return Ok(()) };
                wire.run();
                prop_assert_eq!(wire.ends[1 - from].received.get(&id), Some(&body));
                if dir == Dir::Bidi {
                    wire.ends[1 - from].send_body(id, &body);
                    wire.run();
                    prop_assert_eq!(wire.ends[from].received.get(&id).map_or(&[][..], |bytes| bytes), &body[..]);
                }
            }
        }
        prop_assert_eq!((wire.client().closed, wire.server().closed), (None, None));
    }

    /// Resets and stops at any moment harm neither the session nor the accounts
    #[test]
    fn resets_and_stops(seed: u64, reports: bool, drafts in drafts(), rounds in 1usize..60) {
        let config = Config {
            drafts, reports_final_sizes: reports, initial_max_data: 4000, initial_max_streams_uni: 4, initial_max_streams_bidi: 4,
            ..Config::default()
        };
        let mut wire = Wire::new(config.clone(), config, seed);
        wire.reports = reports;
        let session = wire.session();
        for round in 0..rounds {
            let from = round % 2;
            let dir = if wire.pick(2) == 0 { Dir::Uni } else { Dir::Bidi };
            let end = &mut wire.ends[from];
            prop_assert_eq!(end.conn.check_open(session, dir), Ok(()), "round {}", round);
            let id = end.bind(session, dir);
            let part = body(100, 1);
            if end.conn.send_credit(id) < 100 {
                prop_assert!(!reports, "round {}", round);
                // What is left is too little for the next body, so that it is used up
                let rest = end.conn.send_credit(id);
                end.conn.body_sent(id, rest);
                end.send(id, &body(rest as usize, 1), false);
                end.conn.blocked(id);
                wire.run();
            }
            let end = &mut wire.ends[from];
            prop_assert!(end.conn.send_credit(id) >= 100, "round {}", round);
            end.conn.body_sent(id, 100);
            end.send(id, &part, false);
            for _ in 0..wire.pick(6) {
                wire.step();
            }
            let _ = wire.ends[1 - from].conn.stop_stream(id, 5);
            let _ = wire.ends[1 - from].conn.reset_stream(id, 6);
            wire.collect();
            for _ in 0..wire.pick(6) {
                wire.step();
            }
            let _ = wire.ends[from].conn.reset_stream(id, 7);
            let _ = wire.ends[from].conn.stop_stream(id, 8);
            wire.run();
            let _ = wire.ends[1 - from].conn.stop_stream(id, 5);
            let _ = wire.ends[1 - from].conn.reset_stream(id, 6);
            wire.run();
            prop_assert_eq!(wire.client().conn.session_of(id), None);
            prop_assert_eq!(wire.server().conn.session_of(id), None);
        }
        prop_assert!(wire.ends.iter().all(|end| end.closed.is_none()));
        let closed = |event: &Event| matches!(event, Event::SessionClosed { .. });
        prop_assert!(!wire.ends.iter().any(|end| end.events.iter().any(closed)));
    }

    /// Both ends agree how a session ended
    #[test]
    fn closes(seed: u64, drafts in drafts(), code: u32, reason in "\\PC{0,400}", by_server: bool) {
        let config = Config { drafts, ..Config::default() };
        let mut wire = Wire::new(config.clone(), config, seed);
        let session = wire.session();
        for from in 0..2 {
            wire.ends[from].send_stream(session, Dir::Bidi, b"open");
        }
        for _ in 0..wire.pick(6) {
            wire.step();
        }
        let closer = usize::from(by_server);
        wire.ends[closer].conn.close_session(session, code, &reason).unwrap();
        wire.run();
        let ends: Vec<_> = wire.ends[1 - closer].events.iter().filter_map(|event| match event {
            Event::SessionClosed { end, .. } => Some(end.clone()),
            _ => None,
        }).collect();
        let mut expected = reason.as_str();
        while expected.len() > 1024 {
            expected = &expected[..expected.char_indices().next_back().unwrap().0];
        }
        prop_assert_eq!(ends, [SessionEnd::Closed { code, reason: expected.to_owned() }]);
        for end in &wire.ends {
            prop_assert!(end.conn.is_quiescent());
            prop_assert_eq!(end.closed, None);
        }
    }
}

/// Sessions that come and go leave nothing behind that grows
#[test]
fn many_sessions_in_turn() {
    let config = Config { max_remembered_sessions: 4, max_sessions: 2, ..Config::default() };
    let mut wire = Wire::new(config.clone(), config, 7);
    for round in 0..100u32 {
        let session = wire.session();
        let closer = round as usize % 2;
        wire.ends[closer].conn.close_session(session, round, "").unwrap();
        wire.run();
    }
    assert!(wire.ends.iter().all(|end| end.conn.is_quiescent() && end.closed.is_none()));
}
