//! Setting up sessions: requests, responses, protocols and GOAWAY (-16 §3, §4.7; RFC 9114 §4).

mod common;

use common::*;
use wt_core::{
    AcceptOptions, Action, Config, ConnectError, ConnectRequest, Event, Rejection, Role, SessionEnd,
    SessionError, SessionId, StreamId, code, qpack, varint,
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

/// RFC 9114 §4.2.2: no response is larger than the client accepts
#[test]
fn responses_keep_to_the_limit_of_the_client() {
    let mut tester = Tester::server(&[&BASE[..], &[D16, (0x06, 200)]].concat());
    tester.feed(0, &connect_frame("webtransport-h3", &[]));
    tester.drain();
    let large = vec![("x".into(), "y".repeat(100).into())];
    let options = AcceptOptions { headers: large.clone(), ..Default::default() };
    assert!(matches!(tester.conn.accept(session(0), options), Err(SessionError::Invalid(_))));
    assert!(matches!(
        tester.conn.reject(session(0), 404, &[&large[..], &large].concat()),
        Err(SessionError::Invalid(_))
    ));
    assert_eq!(tester.actions(), []);
    tester.conn.accept(session(0), AcceptOptions::default()).unwrap();
}
