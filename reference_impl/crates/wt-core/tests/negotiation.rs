//! Drafts, requirements, and how many sessions share a connection (-16 §3.1, §5.1, §7.1).

mod common;

use common::*;
use wt_core::{
    AcceptOptions, Action, Config, ConnectError, ConnectRequest, Draft, Event, Role, SessionId, StreamId,
    TransportFacts, code, qpack, varint,
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
