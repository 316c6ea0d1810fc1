//! One endpoint and a peer that sends whatever bytes a test wants.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use wt_core::{
    AcceptOptions, Action, Config, ConnectRequest, Connection, Draft, Event, Feed, Input, QpackStreams, Role,
    SessionEnd, SessionId, StreamId, TransportFacts, capsule::Capsule, frame, qpack, varint,
};

pub const FACTS: TransportFacts =
    TransportFacts { peer_datagrams: true, peer_reset_stream_at: true, early_data_accepted: false };

/// Settings that every draft wants: extended CONNECT and datagrams
pub const BASE: [(u64, u64); 2] = [(0x08, 1), (0x33, 1)];
pub const D02: (u64, u64) = (0x2b60_3742, 1);
pub const D07: (u64, u64) = (0xc671_706a, 16);
pub const D14: (u64, u64) = (0x14e9_cd29, 1);
pub const D16: (u64, u64) = (0x2c7c_f000, 1);
/// Flow control with limits that few tests reach
pub const FLOW: [(u64, u64); 3] = [(0x2b61, 1000), (0x2b64, 3), (0x2b65, 3)];

pub fn bytes(parts: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        varint::encode(*part, &mut out);
    }
    out
}

pub fn frame_of(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::encode(kind, payload, &mut out);
    out.to_vec()
}

pub fn settings_frame(pairs: &[(u64, u64)]) -> Vec<u8> {
    let flat: Vec<u64> = pairs.iter().flat_map(|(id, value)| [*id, *value]).collect();
    frame_of(0x04, &bytes(&flat))
}

pub fn headers_frame(fields: &[(&str, &str)]) -> Vec<u8> {
    let owned = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let fields: Vec<_> = fields.iter().map(|(name, value)| (owned(name), owned(value))).collect();
    frame_of(0x01, &qpack::encode(&fields))
}

pub fn connect_frame(token: &str, extra: &[(&str, &str)]) -> Vec<u8> {
    let base = [
        (":method", "CONNECT"),
        (":protocol", token),
        (":scheme", "https"),
        (":authority", "example.com"),
        (":path", "/echo"),
    ];
    headers_frame(&[&base[..], extra].concat())
}

pub fn data_frame(payload: &[u8]) -> Vec<u8> {
    frame_of(0x00, payload)
}

pub fn capsule_bytes(kind: u64, value: &[u8]) -> Vec<u8> {
    let mut out = bytes(&[kind, value.len() as u64]);
    out.put_slice(value);
    out
}

pub fn capsule_frame(kind: u64, value: &[u8]) -> Vec<u8> {
    data_frame(&capsule_bytes(kind, value))
}

/// The endpoint under test.
pub struct Tester {
    pub conn: Connection,
    pub role: Role,
    pub qpack: QpackStreams,
    /// What was written on our QPACK encoder stream
    pub to_decoder: Vec<u8>,
    /// What was written on our QPACK decoder stream
    pub to_encoder: Vec<u8>,
}

impl Tester {
    pub fn new(role: Role, config: Config, facts: TransportFacts) -> Self {
        let mut conn = Connection::new(Arc::new(config), role);
        let control = StreamId(if role == Role::Client { 2 } else { 3 });
        let qpack = QpackStreams { encoder: StreamId(control.0 + 400), decoder: StreamId(control.0 + 404) };
        conn.handle(Input::Established { facts, control, qpack: Some(qpack) });
        Self { conn, role, qpack, to_decoder: Vec::new(), to_encoder: Vec::new() }
    }

    /// A server whose client has sent `settings`.
    pub fn server(settings: &[(u64, u64)]) -> Self {
        let mut tester = Self::new(Role::Server, Config::default(), FACTS);
        tester.settings(settings);
        tester.drain();
        tester
    }

    /// A client whose server has sent `settings`.
    pub fn client(settings: &[(u64, u64)]) -> Self {
        let mut tester = Self::new(Role::Client, Config::default(), FACTS);
        tester.settings(settings);
        tester.actions();
        tester
    }

    /// The peer's control stream
    pub fn peer_control(&self) -> u64 {
        if self.role == Role::Client { 3 } else { 2 }
    }

    pub fn settings(&mut self, settings: &[(u64, u64)]) {
        let bytes = [&[0x00][..], &settings_frame(settings)].concat();
        self.feed(self.peer_control(), &bytes);
    }

    pub fn feed(&mut self, stream: u64, data: &[u8]) -> Feed {
        self.give(stream, data, false)
    }

    pub fn give(&mut self, stream: u64, data: &[u8], fin: bool) -> Feed {
        let data = Bytes::copy_from_slice(data);
        self.conn.handle(Input::StreamData { stream: StreamId(stream), data, fin })
    }

    pub fn datagram(&mut self, data: &[u8]) {
        self.conn.handle(Input::Datagram(Bytes::copy_from_slice(data)));
    }

    pub fn reset(&mut self, stream: u64, code: u64, final_size: Option<u64>) {
        self.conn.handle(Input::StreamReset { stream: StreamId(stream), code, final_size });
    }

    pub fn stopped(&mut self, stream: u64, code: u64) {
        self.conn.handle(Input::StreamStopped { stream: StreamId(stream), code });
    }

    /// What is to be done, except for instructions of QPACK
    pub fn actions(&mut self) -> Vec<Action> {
        let mut actions: Vec<Action> = std::iter::from_fn(|| self.conn.poll_action()).collect();
        actions.retain(|action| {
            let Action::Write { stream, data, .. } = action else { return true };
            let instructions = match *stream {
                stream if stream == self.qpack.encoder => &mut self.to_decoder,
                stream if stream == self.qpack.decoder => &mut self.to_encoder,
                _ => return true,
            };
            instructions.extend_from_slice(data);
            false
        });
        actions
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.conn.poll_event()).collect()
    }

    pub fn drain(&mut self) {
        self.actions();
        self.events();
    }

    /// The code with which the connection was closed, if it was.
    pub fn closed(&mut self) -> Option<u64> {
        self.actions().into_iter().find_map(|action| match action {
            Action::CloseConnection { code, .. } => Some(code),
            _ => None,
        })
    }

    /// Server: a session on stream 0, accepted. The rest of the request may follow in `more`.
    pub fn session(&mut self, token: &str) -> SessionId {
        self.session_on(0, token)
    }

    pub fn session_on(&mut self, stream: u64, token: &str) -> SessionId {
        let session = SessionId(StreamId(stream));
        self.feed(stream, &connect_frame(token, &[]));
        assert!(matches!(&self.events()[..], [Event::SessionRequest { .. }]), "no request on {stream}");
        self.conn.accept(session, AcceptOptions::default()).unwrap();
        self.drain();
        session
    }

    /// Client: a session on stream 0 that the server accepted.
    pub fn established(&mut self) -> SessionId {
        let session = self.connect(ConnectRequest::default());
        self.feed(0, &headers_frame(&[(":status", "200")]));
        assert!(matches!(&self.events()[..], [Event::SessionEstablished { .. }]));
        self.drain();
        session
    }

    pub fn connect(&mut self, request: ConnectRequest) -> SessionId {
        let request = ConnectRequest { authority: "example.com".into(), path: "/echo".into(), ..request };
        let session = self.conn.connect(StreamId(0), request).unwrap();
        self.drain();
        session
    }
}

/// A server with a session on stream 0 over a draft-16 connection with flow control.
pub fn server_session() -> (Tester, SessionId) {
    let mut tester = Tester::server(&[&BASE[..], &[D16], &FLOW[..]].concat());
    let session = tester.session("webtransport-h3");
    (tester, session)
}

/// The same without flow control.
pub fn plain_session() -> (Tester, SessionId) {
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    let session = tester.session("webtransport-h3");
    (tester, session)
}

/// Whether the actions reset and stop a CONNECT stream with `code`.
pub fn cuts(actions: &[Action], stream: u64, code: u64) -> bool {
    let stream = StreamId(stream);
    actions.contains(&Action::Reset { stream, code }) && actions.contains(&Action::Stop { stream, code })
}

/// How a session ended, if it did.
pub fn end_of(events: &[Event]) -> Option<&SessionEnd> {
    events.iter().find_map(|event| match event {
        Event::SessionClosed { end, .. } => Some(end),
        _ => None,
    })
}

/// Capsules among the written DATA frames of `stream`.
pub fn written_capsules(actions: &[Action], stream: u64) -> Vec<Vec<u8>> {
    let frames = actions.iter().filter_map(|action| match action {
        Action::Write { stream: id, data, .. } if id.0 == stream => Some(data.clone()),
        _ => None,
    });
    frames.filter(|data| data.first() == Some(&0)).map(|data| data[2..].to_vec()).collect()
}

pub fn encoded(capsule: &Capsule) -> Vec<u8> {
    capsule.encode().to_vec()
}

pub const ALL_DRAFTS: [(Draft, (u64, u64), &str); 4] = [
    (Draft::D02, D02, "webtransport"),
    (Draft::D07, D07, "webtransport"),
    (Draft::D14, D14, "webtransport"),
    (Draft::D16, D16, "webtransport-h3"),
];
