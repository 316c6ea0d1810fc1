//! QPACK with the dynamic table on a connection (RFC 9204 §2, §4.2).

mod common;

use common::*;
use wt_core::{
    AcceptOptions, Action, Config, ConnectRequest, Event, Feed, Input, Rejection, RememberedSettings, Role,
    SessionEnd, SessionId, StreamId, code, qpack::Encoder,
};

/// The peer's encoder stream of a server's client, and of a client's server
const ENCODER: [u64; 2] = [6, 7];
const DECODER: [u64; 2] = [10, 11];

/// A peer that refers to entries which it has not sent yet.
struct Peer {
    encoder: Encoder,
    /// Its encoder stream, not delivered yet
    stream: Vec<u8>,
}

impl Peer {
    fn new() -> Self {
        let mut encoder = Encoder::default();
        encoder.allow(4096, 4096, 16);
        Self { encoder, stream: vec![2] }
    }

    /// A HEADERS frame whose fields are in the table: what is sent twice is.
    fn headers(&mut self, stream: u64, fields: &[(&'static str, &'static str)]) -> Vec<u8> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.encoder.encode(StreamId(stream), &fields);
        let again = self.encoder.encode(StreamId(stream), &fields);
        self.stream.extend_from_slice(&self.encoder.take_instructions());
        frame_of(0x01, &again)
    }

    fn connect(&mut self, stream: u64) -> Vec<u8> {
        self.headers(
            stream,
            &[
                (":method", "CONNECT"),
                (":protocol", "webtransport-h3"),
                (":scheme", "https"),
                (":authority", "example.com"),
                (":path", "/echo"),
                ("origin", "https://example.com"),
            ],
        )
    }
}

fn server() -> Tester {
    Tester::server(&[&BASE[..], &[D16], &FLOW[..]].concat())
}

fn has_request(events: &[Event], stream: u64) -> bool {
    let is = |event: &Event| matches!(event, Event::SessionRequest { session, .. } if session.0.0 == stream);
    events.iter().any(is)
}

/// RFC 9204 §2.1.2, §2.2.1: what comes behind the section is not lost
#[test]
fn a_request_waits_for_the_encoder_stream() {
    for step in [1, 1000] {
        let (mut tester, mut peer) = (server(), Peer::new());
        let behind = capsule_frame(0x2843, &[0, 0, 0, 9, b'b', b'y', b'e']);
        for chunk in [peer.connect(0), behind].concat().chunks(step) {
            assert_eq!(tester.feed(0, chunk), Feed::Core);
        }
        assert_eq!(tester.give(0, &[], true), Feed::Core);
        assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
        assert!(!tester.conn.is_quiescent());

        for chunk in peer.stream.chunks(step) {
            tester.feed(ENCODER[0], chunk);
        }
        let events = tester.events();
        let Some(Event::SessionRequest { session, request }) = events.first() else { panic!("{events:?}") };
        assert_eq!(
            (request.path.as_str(), request.origin.as_deref()),
            ("/echo", Some("https://example.com"))
        );
        tester.conn.accept(*session, AcceptOptions::default()).unwrap();
        let end = SessionEnd::Closed { code: 9, reason: "bye".into() };
        assert_eq!(tester.events(), [Event::SessionClosed { session: *session, end }]);
        tester.actions();
        assert_eq!(tester.to_encoder[0], 3, "the type of the stream");
        peer.encoder.decoder_stream(&tester.to_encoder[1..]).unwrap();
    }
}

#[test]
fn a_response_waits_for_the_encoder_stream() {
    let (mut tester, mut peer) = (Tester::client(&[&BASE[..], &[D16]].concat()), Peer::new());
    tester.drain();
    let session = tester.connect(ConnectRequest::default());
    let response = peer.headers(0, &[(":status", "200"), ("x", "y")]);
    tester.feed(0, &[response, capsule_frame(0x78ae, &[])].concat());
    assert_eq!(tester.events(), []);
    tester.feed(ENCODER[1], &peer.stream);
    let events = tester.events();
    assert!(matches!(events[0], Event::SessionEstablished { .. }), "{events:?}");
    assert_eq!(events[1..], [Event::SessionDraining { session }]);
    assert!(tester.closed().is_none());
    assert_eq!(tester.to_encoder, [3, 0x80]);
}

/// Sections are read in the order in which they can be, the lowest stream first
#[test]
fn several_requests_wait() {
    let (mut tester, mut peer) = (server(), Peer::new());
    for stream in [8, 0, 4] {
        let request = peer.connect(stream);
        tester.feed(stream, &request);
    }
    tester.feed(ENCODER[0], &peer.stream);
    let events = tester.events();
    let asked = events.iter().filter_map(|event| match event {
        Event::SessionRequest { session, .. } => Some(session.0.0),
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), [0, 4, 8]);
}

/// RFC 9204 §2.1.2: no more streams wait than were allowed, and none too long
#[test]
fn what_waits_is_bounded() {
    let config = Config { qpack_blocked_streams: 1, max_early_capsule_bytes: 100, ..Config::default() };
    let waiting = |role| {
        let mut tester = Tester::new(role, config.clone(), FACTS);
        tester.settings(&[&BASE[..], &[D16]].concat());
        tester.drain();
        tester
    };
    let mut peer = Peer::new();
    let mut tester = waiting(Role::Server);
    tester.feed(0, &peer.connect(0));
    tester.feed(4, &peer.connect(4));
    assert_eq!(tester.closed(), Some(code::QPACK_DECOMPRESSION_FAILED));

    let mut tester = waiting(Role::Server);
    tester.feed(0, &peer.connect(0));
    assert_eq!(tester.feed(0, &data_frame(&[0; 90])), Feed::Core);
    assert_eq!(tester.feed(0, &data_frame(&[0; 90])), Feed::Discard);
    assert!(cuts(&tester.actions(), 0, code::H3_EXCESSIVE_LOAD));
    assert_eq!(tester.to_encoder, [3, 0x40], "Stream Cancellation");
    tester.feed(ENCODER[0], &peer.stream);
    assert_eq!(tester.events(), []);

    let mut tester = waiting(Role::Client);
    let session = tester.connect(ConnectRequest::default());
    tester.feed(0, &peer.headers(0, &[(":status", "200"), ("x", "y")]));
    tester.feed(0, &[0; 101]);
    let rejected = tester.events();
    assert!(
        matches!(&rejected[..], [Event::SessionRejected { session: of, reason: Rejection::Malformed(_) }] if *of == session),
        "{rejected:?}"
    );
}

/// RFC 9204 §2.2.2.2
#[test]
fn what_is_given_up_is_cancelled() {
    // Reset while it waits
    let (mut tester, mut peer) = (server(), Peer::new());
    tester.feed(0, &peer.connect(0));
    tester.reset(0, code::H3_REQUEST_CANCELLED, None);
    tester.feed(ENCODER[0], &peer.stream);
    assert!(!has_request(&tester.events(), 0));
    tester.actions();
    assert_eq!(tester.to_encoder[..2], [3, 0x40]);
    // The entries are there nevertheless
    tester.feed(4, &peer.connect(4));
    assert!(has_request(&tester.events(), 4));

    // Reset before anything could be read
    let mut tester = server();
    tester.reset(8, code::H3_REQUEST_CANCELLED, None);
    tester.actions();
    assert_eq!(tester.to_encoder, [3, 0x48]);

    // Too long to be read: nothing on the stream is acknowledged any more
    let (mut tester, mut peer) = (server(), Peer::new());
    let trailers = peer.headers(0, &[("x", "y")]);
    tester.feed(ENCODER[0], &peer.stream);
    tester.drain();
    tester.to_encoder.clear();
    tester.feed(0, &[&[0x01, 0x80, 0, 0x80, 0][..], &vec![0; 1 << 15], &trailers].concat());
    assert!(tester.closed().is_none());
    assert_eq!(tester.to_encoder, [0x40]);
}

/// RFC 9204 §4.2: critical streams of ours
#[test]
fn our_streams_are_critical() {
    for stream in [402, 406, 2] {
        let mut tester = Tester::client(&[&BASE[..], &[D16]].concat());
        tester.stopped(stream, code::H3_NO_ERROR);
        assert_eq!(tester.closed(), Some(code::H3_CLOSED_CRITICAL_STREAM), "{stream}");
        let (mut tester, session) = server_session();
        assert!(tester.conn.bind_stream(session, StreamId(stream + 1)).is_err());
    }
}

/// The second request of a connection uses what the peer allows (RFC 9204 §3.2.3, §5)
#[test]
fn requests_shrink_as_the_peer_allows() {
    for (allowed, shrinks) in [
        (&[(0x01, 4096), (0x07, 16)][..], true),
        (&[(0x01, 4096)][..], false),
        (&[(0x07, 16)][..], false),
        (&[][..], false),
    ] {
        let settings = [&BASE[..], &[D16], &FLOW[..], allowed].concat();
        let mut tester = Tester::client(&settings);
        let mut sizes = Vec::new();
        for stream in [0, 4, 8] {
            let request =
                ConnectRequest { authority: "a.example".into(), path: "/a".into(), ..Default::default() };
            tester.conn.connect(StreamId(stream), request).unwrap();
            let written = tester.actions().into_iter().find_map(|action| match action {
                Action::Write { stream: to, data, .. } if to.0 == stream => Some(data.len()),
                _ => None,
            });
            sizes.push(written.unwrap());
        }
        assert_eq!(sizes[1] < sizes[0] / 2, shrinks, "{allowed:?} {sizes:?}");
        assert_eq!(tester.to_decoder.first() == Some(&2), allowed.len() == 2 || allowed == [(0x01, 4096)]);
        // An acknowledgment of what has no references
        tester.feed(DECODER[1], &[3, 0x80]);
        assert_eq!(tester.closed(), Some(code::QPACK_DECODER_STREAM_ERROR));
    }
}

/// Instructions go out before the section that needs them
#[test]
fn instructions_precede_their_section() {
    let mut tester = Tester::client(&[&BASE[..], &[D16], &FLOW[..], &[(0x01, 4096), (0x07, 16)]].concat());
    for stream in [0, 4] {
        let request = ConnectRequest { authority: "a".into(), path: "/".into(), ..Default::default() };
        tester.conn.connect(StreamId(stream), request).unwrap();
    }
    let order: Vec<u64> = std::iter::from_fn(|| tester.conn.poll_action())
        .filter_map(|action| match action {
            Action::Write { stream, .. } => Some(stream.0),
            _ => None,
        })
        .collect();
    assert_eq!(order, [0, 402, 4]);
}

/// Where the driver has no streams to spare, nothing is offered or used
#[test]
fn without_streams_there_is_no_table() {
    let mut conn = wt_core::Connection::new(Config::default().into(), Role::Server);
    conn.handle(Input::Established { facts: FACTS, control: StreamId(3), qpack: None });
    assert_eq!((conn.settings().0.qpack_max_table_capacity, conn.settings().0.qpack_blocked_streams), (0, 0));
    let data = frame_of(0x01, &[2, 0, 0x80]).into();
    conn.handle(Input::StreamData { stream: StreamId(0), data, fin: false });
    let closed = std::iter::from_fn(|| conn.poll_action()).find_map(|action| match action {
        Action::CloseConnection { code, .. } => Some(code),
        _ => None,
    });
    assert_eq!(closed, Some(code::QPACK_DECOMPRESSION_FAILED));
}

/// RFC 9204 §3.2.3: with 0-RTT the capacity that may be in use stays
#[test]
fn a_resumed_table_keeps_its_capacity() {
    for (before, now, closed) in [
        (0, 4096, None),
        (4096, 4096, None),
        (4096, 8192, Some(code::QPACK_DECODER_STREAM_ERROR)),
        (4096, 0, Some(code::QPACK_DECODER_STREAM_ERROR)),
    ] {
        let remembered = RememberedSettings { qpack_max_table_capacity: before, ..Default::default() };
        let config = Config { remembered: Some(remembered), ..Config::default() };
        let facts = wt_core::TransportFacts { early_data_accepted: true, ..FACTS };
        let mut tester = Tester::new(Role::Client, config, facts);
        tester.settings(&[&BASE[..], &[D16], &[(0x01, now)]].concat());
        assert_eq!(tester.closed(), closed, "{before} {now}");
    }
}

/// RFC 9204 §7.3: entries that nobody uses do not go on for ever
#[test]
fn needless_instructions_are_bounded() {
    let config = Config { max_ignored_elements: 100, ..Config::default() };
    let mut tester = Tester::new(Role::Server, config, FACTS);
    tester.settings(&[&BASE[..], &[D16]].concat());
    tester.drain();
    tester.feed(ENCODER[0], b"\x02\x3f\x45\x41a\x01b");
    for _ in 0..200 {
        tester.feed(ENCODER[0], &[0]);
    }
    assert_eq!(tester.closed(), Some(code::H3_EXCESSIVE_LOAD));
}

/// A session of a later request is like any other
#[test]
fn sessions_with_references_work() {
    let (mut tester, mut peer) = (server(), Peer::new());
    for stream in [0, 4] {
        let request = peer.connect(stream);
        tester.feed(ENCODER[0], &peer.stream);
        peer.stream.clear();
        tester.feed(stream, &request);
        assert!(has_request(&tester.events(), stream));
        tester.conn.accept(SessionId(StreamId(stream)), AcceptOptions::default()).unwrap();
        tester.actions();
        let answers = std::mem::take(&mut tester.to_encoder);
        peer.encoder.decoder_stream(&answers[usize::from(stream == 0)..]).unwrap();
    }
}
