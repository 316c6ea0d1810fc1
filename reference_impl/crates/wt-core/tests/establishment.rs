//! Setting up sessions: drafts, requirements, requests and responses (-16 §3, §7.1; RFC 9114 §4).

mod common;

use common::*;
use wt_core::{
    AcceptOptions, Action, Config, ConnectError, ConnectRequest, Draft, Event, Rejection, Role, SessionEnd,
    SessionId, StreamId, TransportFacts, code, qpack, varint,
};

fn session(stream: u64) -> SessionId {
    SessionId(StreamId(stream))
}

/// Status and fields of the response that was written on a stream
fn response(actions: &[Action], stream: u64) -> Option<(Vec<(String, String)>, bool)> {
    actions.iter().find_map(|action| match action {
        Action::Write { stream: id, data, fin } if id.0 == stream && data.first() == Some(&1) => {
            let (_, length) = varint::decode(&data[1..])?;
            let fields = qpack::decode(&data[1 + length..], u64::MAX).ok()?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Some((fields.iter().map(|(name, value)| (text(name), text(value))).collect(), *fin))
        }
        _ => None,
    })
}

fn status(actions: &[Action], stream: u64) -> Option<String> {
    let (fields, _) = response(actions, stream)?;
    fields.into_iter().find(|(name, _)| name == ":status").map(|(_, value)| value)
}

#[test]
fn every_draft_by_its_setting() {
    for (draft, setting, token) in ALL_DRAFTS {
        let mut server = Tester::new(Role::Server, Config::default(), FACTS);
        server.settings(&[&BASE[..], &[setting]].concat());
        assert_eq!(server.events(), [Event::Ready { draft }]);
        server.drain();
        server.feed(0, &connect_frame(token, &[]));
        let events = server.events();
        let [Event::SessionRequest { request, .. }] = &events[..] else { panic!("{draft:?}: {events:?}") };
        assert_eq!((request.draft, request.path.as_str()), (draft, "/echo"));
        server.conn.accept(session(0), AcceptOptions::default()).unwrap();
        let (fields, fin) = response(&server.actions(), 0).unwrap();
        assert!(!fin);
        assert!(fields.contains(&(":status".into(), "200".into())));
        let mark = ("sec-webtransport-http3-draft".to_owned(), "draft02".to_owned());
        assert_eq!(fields.contains(&mark), draft == Draft::D02);

        let mut client = Tester::client(&[&BASE[..], &[setting]].concat());
        assert_eq!(client.events(), [Event::Ready { draft }]);
        let request = ConnectRequest {
            authority: "example.com".into(),
            path: "/echo?a=b".into(),
            ..Default::default()
        };
        client.conn.connect(StreamId(0), request).unwrap();
        let (fields, fin) = response(&client.actions(), 0).unwrap();
        assert!(!fin);
        for pair in
            [(":method", "CONNECT"), (":protocol", token), (":scheme", "https"), (":path", "/echo?a=b")]
        {
            assert!(fields.contains(&(pair.0.into(), pair.1.into())), "{pair:?}");
        }
        let mark = ("sec-webtransport-http3-draft02".to_owned(), "1".to_owned());
        assert_eq!(fields.contains(&mark), draft == Draft::D02);
    }
}

/// -16 §7.1
#[test]
fn the_newest_shared_draft_is_used() {
    for (offered, spoken, expected) in [
        (&[D02, D07, D14, D16][..], &Draft::ALL[..], Some(Draft::D16)),
        (&[D02, D07, D14], &Draft::ALL, Some(Draft::D14)),
        (&[D02, D07], &Draft::ALL, Some(Draft::D07)),
        (&[D02, D16], &[Draft::D02, Draft::D07], Some(Draft::D02)),
        (&[D07], &[Draft::D02], None),
        (&[(D16.0, 0)], &Draft::ALL, None),
    ] {
        for role in [Role::Client, Role::Server] {
            let config = Config { drafts: spoken.to_vec(), ..Config::default() };
            let mut tester = Tester::new(role, config, FACTS);
            tester.settings(&[&BASE[..], offered].concat());
            assert_eq!(tester.conn.draft(), expected);
        }
    }
}

/// -16 §3.1: what a server's SETTINGS and transport parameters lack keeps a client from asking
#[test]
fn a_client_wants_every_requirement() {
    let good = [BASE[0], BASE[1], D16];
    for missing in good {
        let settings: Vec<_> = good.into_iter().filter(|pair| *pair != missing).collect();
        let mut tester = Tester::client(&settings);
        assert!(matches!(tester.events()[..], [Event::Unsupported { .. }]), "{missing:x?}");
        assert!(matches!(tester.conn.check_connect(), Err(ConnectError::Unsupported(_))));
    }
    for facts in [
        TransportFacts { peer_datagrams: false, ..FACTS },
        TransportFacts { peer_reset_stream_at: false, ..FACTS },
    ] {
        let mut tester = Tester::new(Role::Client, Config::default(), facts);
        assert_eq!(tester.conn.check_connect(), Err(ConnectError::NotReady));
        tester.settings(&good);
        assert!(matches!(tester.events()[..], [Event::Unsupported { .. }]));
    }
}

/// -16 §3.1: sessions of a client that lacks a requirement are malformed
#[test]
fn a_server_wants_every_requirement() {
    let browser = TransportFacts { peer_reset_stream_at: false, ..FACTS };
    for (settings, facts, token, accepted) in [
        (&[BASE[1], D16][..], FACTS, "webtransport-h3", true),
        // The final form has clients send no WebTransport setting
        (&[BASE[1]], FACTS, "webtransport-h3", true),
        (&[D16], FACTS, "webtransport-h3", false),
        (&[(0x33, 0), D16], FACTS, "webtransport-h3", false),
        (&[BASE[1], D16], TransportFacts { peer_datagrams: false, ..FACTS }, "webtransport-h3", false),
        (&[BASE[1], D16], browser, "webtransport-h3", false),
        (&[BASE[1], D14], browser, "webtransport", false),
        (&[BASE[1], D07], browser, "webtransport", true),
        (&[BASE[1], D02], browser, "webtransport", true),
        (&[BASE[1]], browser, "webtransport", true),
    ] {
        let mut tester = Tester::new(Role::Server, Config::default(), facts);
        tester.settings(settings);
        tester.drain();
        tester.feed(0, &connect_frame(token, &[]));
        assert_eq!(tester.events().len(), usize::from(accepted), "{settings:x?}");
        assert_eq!(cuts(&tester.actions(), 0, code::H3_MESSAGE_ERROR), !accepted, "{settings:x?}");
    }
}

/// -16 §3.1
#[test]
fn requests_wait_for_settings() {
    let mut tester = Tester::new(Role::Server, Config::default(), FACTS);
    tester.drain();
    tester.feed(0, &[connect_frame("webtransport-h3", &[]), capsule_frame(0x2843, &[0, 0, 0, 7])].concat());
    assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
    tester.settings(&[&BASE[..], &[D16]].concat());
    assert!(matches!(tester.events()[..], [Event::Ready { .. }, Event::SessionRequest { .. }]));
    // -16 §3.2: the capsule is processed after the 2xx
    tester.conn.accept(session(0), AcceptOptions::default()).unwrap();
    let end = SessionEnd::Closed { code: 7, reason: String::new() };
    assert_eq!(end_of(&tester.events()), Some(&end));
}

#[test]
fn early_bytes_are_bounded_and_dropped_with_a_refusal() {
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    tester.feed(0, &[connect_frame("webtransport-h3", &[]), capsule_frame(0x2843, &[0])].concat());
    tester.conn.reject(session(0), 404, &[]).unwrap();
    assert_eq!(status(&tester.actions(), 0).as_deref(), Some("404"));
    tester.feed(0, &capsule_frame(0x78ae, &[1]));
    assert_eq!(tester.actions(), []);

    let config = Config { max_early_capsule_bytes: 100, ..Config::default() };
    let mut tester = Tester::new(Role::Server, config, FACTS);
    tester.settings(&[&BASE[..], &[D16]].concat());
    tester.feed(0, &[connect_frame("webtransport-h3", &[]), data_frame(&[0; 101])].concat());
    assert!(cuts(&tester.actions(), 0, code::H3_EXCESSIVE_LOAD));
}

#[test]
fn requests_that_are_no_sessions() {
    let request = |fields: &[(&str, &str)]| headers_frame(fields);
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")];
    for (name, bytes, expected) in [
        ("RFC 9110 §15.5.5", request(&get), "404"),
        ("RFC 9220 §3", connect_frame("no-such-protocol", &[]), "501"),
        // -16 §2.1: the capsule-based protocol of WebTransport over HTTP/2
        ("-16 §2.1", connect_frame("webtransport", &[]), "501"),
        ("RFC 9110 §9.3.6", request(&[(":method", "CONNECT"), (":authority", "a:1")]), "501"),
        ("RFC 9114 §4.2.2", frame_of(0x01, &vec![0; 20_000]), "431"),
    ] {
        let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
        tester.feed(0, &bytes);
        let actions = tester.actions();
        assert_eq!(status(&actions, 0).as_deref(), Some(expected), "{name}");
        assert!(response(&actions, 0).unwrap().1, "{name}");
        assert_eq!(tester.events(), []);
    }
    for (name, bytes) in [
        ("RFC 9297 §3.2", connect_frame("webtransport-h3", &[("content-length", "0")])),
        ("RFC 9297 §3.2", connect_frame("webtransport-h3", &[("content-type", "a/b")])),
        ("RFC 9114 §4.2", connect_frame("webtransport-h3", &[("Origin", "x")])),
        ("RFC 9114 §4.3", connect_frame("webtransport-h3", &[(":path", "/")])),
    ] {
        let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
        tester.feed(0, &bytes);
        assert!(cuts(&tester.actions(), 0, code::H3_MESSAGE_ERROR), "{name}");
    }
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    tester.give(0, &frame_of(0x21, &[]), true);
    let reset = Action::Reset { stream: StreamId(0), code: code::H3_REQUEST_INCOMPLETE };
    assert_eq!(tester.actions(), [reset], "RFC 9114 §4.1");
}

#[test]
fn refusals() {
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    tester.feed(0, &connect_frame("webtransport-h3", &[]));
    assert!(tester.conn.reject(session(0), 200, &[]).is_err());
    assert!(tester.conn.accept(session(4), AcceptOptions::default()).is_err());
    tester.conn.reject(session(0), 405, &[]).unwrap();
    let (fields, fin) = response(&tester.actions(), 0).unwrap();
    assert!(fin && fields.iter().any(|(name, _)| name == "allow"), "RFC 9110 §15.5.6");
    assert!(tester.conn.reject(session(0), 405, &[]).is_err());
    assert!(tester.conn.accept(session(0), AcceptOptions::default()).is_err());
}

/// -16 §3.3
#[test]
fn protocols_on_the_server() {
    let offer = [("wt-available-protocols", "\"a\", \"b\"")];
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    tester.feed(0, &connect_frame("webtransport-h3", &offer));
    tester.drain();
    let choose = |name: &str| AcceptOptions { protocol: Some(name.into()), ..Default::default() };
    assert!(tester.conn.accept(session(0), choose("c")).is_err());
    tester.conn.accept(session(0), choose("b")).unwrap();
    let (fields, _) = response(&tester.actions(), 0).unwrap();
    assert!(fields.contains(&("wt-protocol".into(), "\"b\"".into())));
}

/// -16 §3.3, and -14 §3.3 where it differs
#[test]
fn protocols_on_the_client() {
    for (setting, line, require, expected) in [
        (D16, Some("\"b\";v=1"), true, Ok(Some("b"))),
        (D16, Some("b"), false, Ok(None)),
        (D16, Some("b"), true, Err(code::WT_ALPN_ERROR)),
        (D16, None, false, Ok(None)),
        (D16, None, true, Err(code::WT_ALPN_ERROR)),
        (D16, Some("\"c\""), false, Err(code::WT_ALPN_ERROR)),
        (D14, Some("\"c\""), false, Ok(None)),
    ] {
        let mut tester = Tester::client(&[&BASE[..], &[setting]].concat());
        tester.drain();
        let protocols = vec!["a".into(), "b".into()];
        tester.connect(ConnectRequest { protocols, require_protocol: require, ..Default::default() });
        let extra = line.map(|line| ("wt-protocol", line));
        let fields: Vec<_> = [(":status", "200")].into_iter().chain(extra).collect();
        tester.feed(0, &headers_frame(&fields));
        let events = tester.events();
        match expected {
            Ok(protocol) => {
                let [Event::SessionEstablished { response, .. }] = &events[..] else { panic!("{events:?}") };
                assert_eq!(response.protocol.as_deref(), protocol);
            }
            Err(code) => {
                assert!(matches!(end_of(&events), Some(SessionEnd::Violation { code: c, .. }) if *c == code));
                assert!(cuts(&tester.actions(), 0, code));
            }
        }
    }
}

#[test]
fn responses() {
    let asked = || {
        let mut tester = Tester::client(&[&BASE[..], &[D16]].concat());
        tester.connect(ConnectRequest::default());
        tester
    };
    for status in ["200", "202", "299"] {
        let mut tester = asked();
        tester.feed(0, &headers_frame(&[(":status", "103"), ("link", "x")]));
        assert_eq!(tester.events(), []);
        tester.feed(0, &headers_frame(&[(":status", status)]));
        assert!(matches!(tester.events()[..], [Event::SessionEstablished { .. }]), "{status}");
    }
    for status in ["307", "404", "500"] {
        let mut tester = asked();
        tester.give(0, &headers_frame(&[(":status", status), ("location", "/x")]), true);
        let events = tester.events();
        let [Event::SessionRejected { reason: Rejection::Status { status: seen, headers }, .. }] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((seen.to_string().as_str(), headers.len()), (status, 1));
    }
    // RFC 9297 §3.2, RFC 9114 §4.3.2, §4.5
    let malformed: [&[(&str, &str)]; 6] = [
        &[(":status", "204")],
        &[(":status", "200"), ("content-length", "0")],
        &[(":status", "101")],
        &[("a", "b")],
        &[(":status", "200"), ("Foo", "x")],
        &[(":status", "200"), (":status", "200")],
    ];
    for fields in malformed {
        let mut tester = asked();
        tester.feed(0, &headers_frame(fields));
        let events = tester.events();
        assert!(
            matches!(events[..], [Event::SessionRejected { reason: Rejection::Malformed(_), .. }]),
            "{fields:?} {events:?}"
        );
        assert!(cuts(&tester.actions(), 0, code::H3_MESSAGE_ERROR), "{fields:?}");
    }
    let mut tester = asked();
    tester.reset(0, code::H3_REQUEST_REJECTED, None);
    let reason = Rejection::Reset(code::H3_REQUEST_REJECTED);
    assert_eq!(tester.events(), [Event::SessionRejected { session: session(0), reason }]);
}

/// -16 §5.1, §5.2; -14 §5.2; -07 §3.4; -02 §3.4
#[test]
fn sessions_share_a_connection_where_the_draft_allows() {
    let sessions_of_14 = |count| (D14.0, count);
    for (settings, token, on_server, on_client) in [
        (vec![D16], "webtransport-h3", 1, 1),
        ([&[D16], &FLOW[..]].concat(), "webtransport-h3", 3, 3),
        (vec![sessions_of_14(1)], "webtransport", 1, 1),
        (vec![sessions_of_14(2)], "webtransport", 3, 2),
        (vec![(D07.0, 2)], "webtransport", 3, 2),
        (vec![D02], "webtransport", 3, 3),
    ] {
        let config = Config { max_sessions: 3, ..Config::default() };
        let settings = [&BASE[..], &settings].concat();
        let mut server = Tester::new(Role::Server, config.clone(), FACTS);
        server.settings(&settings);
        server.drain();
        for n in 0..4 {
            server.feed(4 * n, &connect_frame(token, &[]));
            assert_eq!(server.events().len(), usize::from(n < on_server), "{settings:x?} {n}");
            let cut = cuts(&server.actions(), 4 * n, code::H3_REQUEST_REJECTED);
            assert_eq!(cut, n >= on_server, "{settings:x?} {n}");
        }
        let mut client = Tester::new(Role::Client, config, FACTS);
        client.settings(&settings);
        for n in 0..4 {
            let request = ConnectRequest { authority: "a".into(), path: "/".into(), ..Default::default() };
            let result = client.conn.connect(StreamId(4 * n), request);
            assert_eq!(result.is_ok(), n < on_client, "{settings:x?} {n} {result:?}");
        }
    }
}

/// -16 §5.1: one after the other is fine
#[test]
fn a_session_makes_room_when_it_ends() {
    let (mut tester, first) = plain_session();
    tester.conn.close_session(first, 1, "").unwrap();
    tester.drain();
    tester.session_on(4, "webtransport-h3");
}

/// -16 §4.7, RFC 9114 §5.2
#[test]
fn goaway() {
    let (mut tester, _) = server_session();
    tester.conn.goaway();
    tester.conn.goaway();
    let frame = Action::Write { stream: StreamId(3), data: vec![7, 1, 4].into(), fin: false };
    assert_eq!(tester.actions(), [frame]);
    tester.feed(4, &connect_frame("webtransport-h3", &[]));
    assert!(cuts(&tester.actions(), 4, code::H3_REQUEST_REJECTED));
    tester.feed(8, &[0x40, 0x41, 0]);
    assert!(
        matches!(tester.events()[..], [Event::IncomingStream { .. }]),
        "streams of sessions are not requests"
    );

    let mut client = Tester::client(&[&BASE[..], &[D16], &FLOW[..]].concat());
    client.drain();
    client.established();
    let request = ConnectRequest { authority: "a".into(), path: "/".into(), ..Default::default() };
    client.conn.connect(StreamId(4), request).unwrap();
    client.drain();
    client.feed(3, &frame_of(7, &[4]));
    let events = client.events();
    assert_eq!(events[..2], [Event::GoingAway, Event::SessionDraining { session: session(0) }]);
    let rejected = Event::SessionRejected { session: session(4), reason: Rejection::GoingAway };
    assert_eq!(events[2..], [rejected]);
    assert_eq!(client.conn.check_connect(), Err(ConnectError::GoingAway));
}

#[test]
fn requests_that_a_client_may_not_send() {
    let mut tester = Tester::client(&[&BASE[..], &[D16], &[(0x06, 400)]].concat());
    let base = || ConnectRequest { authority: "a".into(), path: "/".into(), ..Default::default() };
    let field = |name: &'static str, value: &'static str| vec![(name.into(), value.into())];
    let bad = [
        ConnectRequest { authority: "u@a".into(), ..base() },
        ConnectRequest { authority: String::new(), ..base() },
        ConnectRequest { path: String::new(), ..base() },
        ConnectRequest { headers: field("Foo", ""), ..base() },
        ConnectRequest { headers: field("a", "\n"), ..base() },
        ConnectRequest { headers: field(":path", "/"), ..base() },
        ConnectRequest { headers: field("content-length", "0"), ..base() },
        ConnectRequest { protocols: vec!["\u{e9}".into()], ..base() },
    ];
    for request in bad {
        let result = tester.conn.connect(StreamId(0), request.clone());
        assert!(matches!(result, Err(ConnectError::InvalidRequest(_))), "{request:?}");
    }
    let large = ConnectRequest { path: format!("/{}", "a".repeat(400)), ..base() };
    assert_eq!(tester.conn.connect(StreamId(0), large), Err(ConnectError::TooLarge));
    assert!(tester.conn.connect(StreamId(1), base()).is_err());
    assert!(tester.conn.connect(StreamId(0), base()).is_ok());
}

/// -16 §3.2, RFC 9297 §2.1.1
#[test]
fn resumption_with_lower_limits() {
    let first = Tester::client(&[&BASE[..], &[D16], &FLOW[..]].concat()).conn.remember();
    for (settings, accepted, closes) in [
        ([&BASE[..], &[D16], &FLOW[..]].concat(), true, false),
        ([&BASE[..], &[D16], &FLOW[1..]].concat(), true, true),
        ([&[BASE[0]], &[D16][..], &FLOW[..]].concat(), true, true),
        ([&BASE[..], &[D16]].concat(), false, false),
    ] {
        let config = Config { remembered: first, ..Config::default() };
        let facts = TransportFacts { early_data_accepted: accepted, ..FACTS };
        let mut tester = Tester::new(Role::Client, config, facts);
        tester.settings(&settings);
        assert_eq!(tester.closed(), closes.then_some(code::H3_SETTINGS_ERROR));
    }
}

#[test]
fn what_is_offered() {
    let config = Config { drafts: vec![Draft::D16], grease: None, ..Config::default() };
    let mut tester = Tester::new(Role::Server, config, FACTS);
    let actions = tester.actions();
    let [Action::Write { data, fin: false, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(data[..2], [0, 4]);
    let mut rest = &data[3..];
    let mut pairs = Vec::new();
    while let Some((id, length)) = varint::decode(rest) {
        let (value, more) = varint::decode(&rest[length..]).unwrap();
        pairs.push((id, value));
        rest = &rest[length + more..];
    }
    assert!([BASE[0], BASE[1], D16].iter().all(|pair| pairs.contains(pair)), "{pairs:x?}");
    assert!(![D02.0, D07.0, D14.0].iter().any(|id| pairs.iter().any(|(other, _)| other == id)));
}

/// RFC 9114 §4.1
#[test]
fn requests_that_are_cut_off() {
    for (bytes, code) in [
        (&[][..], code::H3_REQUEST_INCOMPLETE),
        (&[0x01, 20, 0, 0], code::H3_REQUEST_INCOMPLETE),
        (&[0x40, 0x41], code::H3_REQUEST_INCOMPLETE),
    ] {
        let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
        tester.feed(0, bytes);
        tester.reset(0, code::H3_REQUEST_CANCELLED, None);
        assert_eq!(tester.actions(), [Action::Reset { stream: StreamId(0), code }], "{bytes:x?}");
    }
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    tester.feed(0, &connect_frame("webtransport-h3", &[]));
    tester.drain();
    tester.reset(0, code::H3_REQUEST_CANCELLED, None);
    assert_eq!(tester.actions(), [Action::Reset { stream: StreamId(0), code: code::H3_REQUEST_CANCELLED }]);
    let end = SessionEnd::Reset(code::H3_REQUEST_CANCELLED);
    assert_eq!(tester.events(), [Event::SessionClosed { session: session(0), end }]);
}

/// RFC 9297 §2
#[test]
fn datagrams_of_plain_requests() {
    let get = headers_frame(&[(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]);
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    tester.feed(0, &get);
    tester.drain();
    tester.datagram(&[0, 1]);
    assert_eq!(tester.actions(), [Action::Stop { stream: StreamId(0), code: code::H3_DATAGRAM_ERROR }]);
    // Those of a refused session are only late
    tester.feed(4, &connect_frame("webtransport-h3", &[]));
    tester.conn.reject(session(4), 404, &[]).unwrap();
    tester.drain();
    tester.datagram(&[1, 1]);
    assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
}
