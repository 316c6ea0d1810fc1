//! Sessions: streams, datagrams, capsules and the end (-16 §4, §6).

mod common;

use common::*;
use wt_core::{
    AcceptOptions, Action, Config, ConnectRequest, DatagramError, Dir, Event, Feed, OpenError, Role,
    SessionEnd, SessionId, StreamId, TransportFacts, code,
};

fn stream(id: u64) -> StreamId {
    StreamId(id)
}

fn incoming(session: SessionId, id: u64, body: &[u8], fin: bool) -> Event {
    let body = bytes::Bytes::copy_from_slice(body);
    Event::IncomingStream { session, stream: stream(id), body, fin, reset: None }
}

/// -16 §4.2, §4.3: any encoding and any cut of the header
#[test]
fn streams_of_the_peer() {
    for header in [
        &[0x40, 0x41, 0x00][..],
        &[0x80, 0, 0, 0x41, 0x40, 0x00],
        &[0xc0, 0, 0, 0, 0, 0, 0, 0x41, 0xc0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        for step in 1..=header.len() {
            let (mut tester, session) = server_session();
            let mut feed = Feed::Core;
            for chunk in header.chunks(step) {
                assert_eq!(feed, Feed::Core);
                feed = tester.feed(4, chunk);
            }
            assert_eq!(feed, Feed::Application);
            assert_eq!(tester.events(), [incoming(session, 4, b"", false)]);
        }
    }
    let (mut tester, session) = server_session();
    assert_eq!(tester.give(6, &[0x40, 0x54, 0, 1, 2], true), Feed::Application);
    assert_eq!(tester.give(4, &[0x40, 0x41, 0, 0x04, 0], false), Feed::Application);
    assert_eq!(tester.events(), [incoming(session, 6, &[1, 2], true), incoming(session, 4, &[4, 0], false)]);
}

#[test]
fn our_streams() {
    let (mut tester, session) = server_session();
    assert_eq!(tester.conn.bind_stream(session, stream(1)).unwrap()[..], [0x40, 0x41, 0]);
    assert_eq!(tester.conn.bind_stream(session, stream(7)).unwrap()[..], [0x40, 0x54, 0]);
    assert_eq!(tester.conn.bind_stream(session, stream(1)), Err(OpenError::BadStream));
    assert_eq!(tester.conn.bind_stream(session, stream(3)), Err(OpenError::BadStream), "the control stream");
    assert_eq!(
        tester.conn.bind_stream(session, stream(4)),
        Err(OpenError::BadStream),
        "a stream of the peer"
    );
    assert_eq!(tester.conn.bind_stream(SessionId(stream(8)), stream(5)), Err(OpenError::Unknown));
}

/// -16 §4.4
#[test]
fn resets_and_stops_carry_mapped_codes() {
    let (mut tester, session) = server_session();
    tester.conn.bind_stream(session, stream(1)).unwrap();
    tester.feed(4, &[0x40, 0x41, 0]);
    tester.drain();
    tester.conn.reset_stream(stream(1), 30).unwrap();
    tester.conn.stop_stream(stream(1), 29).unwrap();
    tester.conn.reset_stream(stream(4), u32::MAX).unwrap();
    assert_eq!(
        tester.actions(),
        [
            Action::ResetAt { stream: stream(1), code: 0x52e4_a40f_a8fa, reliable_size: 3 },
            Action::Stop { stream: stream(1), code: 0x52e4_a40f_a8f8 },
            Action::Reset { stream: stream(4), code: 0x52e5_ac98_3162 },
        ]
    );
    assert!(tester.conn.reset_stream(stream(1), 0).is_err());
    for (wire, expected) in [(0x52e4_a40f_a8fa, Some(30)), (0x10c, None), (0x52e4_a40f_a8f9, None)] {
        let (mut tester, session) = server_session();
        tester.feed(4, &[0x40, 0x41, 0]);
        tester.drain();
        tester.reset(4, wire, Some(3));
        tester.stopped(4, wire);
        assert_eq!(tester.actions()[0], Action::Reset { stream: stream(4), code: wire });
        assert_eq!(
            tester.events(),
            [
                Event::StreamReset { session, stream: stream(4), code: expected },
                Event::StreamStopped { session, stream: stream(4), code: expected },
            ]
        );
        assert_eq!(tester.conn.session_of(stream(4)), None, "both sides are done");
    }
}

#[test]
fn a_peer_without_reliable_resets_gets_plain_ones() {
    let facts = TransportFacts { peer_reset_stream_at: false, ..FACTS };
    let mut tester = Tester::new(Role::Server, Config::default(), facts);
    tester.settings(&[BASE[1], D02]);
    tester.drain();
    let session = tester.session("webtransport");
    tester.conn.bind_stream(session, stream(1)).unwrap();
    tester.conn.reset_stream(stream(1), 256).unwrap();
    // -02 §4.3: 8 bits
    assert_eq!(tester.actions(), [Action::Reset { stream: stream(1), code: 0x52e4_a40f_a9e2 }]);
}

/// -16 §4.6
#[test]
fn what_comes_before_its_session_is_kept() {
    let mut tester = Tester::server(&[&BASE[..], &[D16], &FLOW[..]].concat());
    assert_eq!(tester.give(4, &[0x40, 0x41, 0, 1], false), Feed::Hold);
    assert_eq!(tester.give(6, &[0x40, 0x54, 0, 2], true), Feed::Hold);
    tester.datagram(&[0, 3]);
    assert_eq!(tester.events(), []);
    let session = SessionId(stream(0));
    tester.feed(0, &connect_frame("webtransport-h3", &[]));
    assert_eq!(tester.give(10, &[0x40, 0x54, 0], false), Feed::Hold, "the session is not accepted yet");
    tester.drain();
    tester.conn.accept(session, AcceptOptions::default()).unwrap();
    let datagram = Event::Datagram { session, payload: vec![3].into() };
    assert_eq!(
        tester.events(),
        [
            incoming(session, 4, &[1], false),
            incoming(session, 6, &[2], true),
            incoming(session, 10, &[], false),
            datagram
        ]
    );
}

#[test]
fn what_is_kept_is_bounded() {
    let config = Config { max_buffered_streams: 2, max_buffered_datagrams: 1, ..Config::default() };
    let mut tester = Tester::new(Role::Server, config, FACTS);
    tester.settings(&[&BASE[..], &[D16], &FLOW[..]].concat());
    tester.drain();
    for (id, feed) in [(4, Feed::Hold), (8, Feed::Hold), (12, Feed::Discard)] {
        assert_eq!(tester.feed(id, &[0x40, 0x41, 0]), feed);
    }
    let code = code::WT_BUFFERED_STREAM_REJECTED;
    assert!(cuts(&tester.actions(), 12, code));
    tester.datagram(&[0, 1]);
    tester.datagram(&[0, 2]);
    // The peer's reset and stop of a kept stream are kept, too
    tester.reset(8, 0x52e4_a40f_a8db, Some(3));
    tester.stopped(8, 0x52e4_a40f_a8dc);
    assert_eq!(tester.actions(), [Action::Reset { stream: stream(8), code: 0x52e4_a40f_a8dc }]);
    tester.feed(0, &connect_frame("webtransport-h3", &[]));
    tester.drain();
    tester.conn.accept(SessionId(stream(0)), AcceptOptions::default()).unwrap();
    let events = tester.events();
    let session = SessionId(stream(0));
    let body = bytes::Bytes::new();
    let reset = Event::IncomingStream { session, stream: stream(8), body, fin: false, reset: Some(Some(0)) };
    let stopped = Event::StreamStopped { session, stream: stream(8), code: Some(1) };
    let datagram = Event::Datagram { session, payload: vec![1].into() };
    assert_eq!(events, [incoming(session, 4, &[], false), reset, stopped, datagram]);
}

#[test]
fn what_is_kept_for_a_refused_session_goes_away() {
    let mut tester = Tester::server(&[&BASE[..], &[D16]].concat());
    tester.feed(4, &[0x40, 0x41, 0]);
    tester.feed(0, &connect_frame("webtransport-h3", &[]));
    tester.drain();
    tester.conn.reject(SessionId(stream(0)), 404, &[]).unwrap();
    assert!(cuts(&tester.actions(), 4, code::WT_BUFFERED_STREAM_REJECTED));
    // Late ones: the connection survives (-16 §6)
    tester.feed(8, &[0x40, 0x41, 0]);
    assert!(cuts(&tester.actions(), 8, code::WT_SESSION_GONE));
}

/// -16 §6
#[test]
fn the_end_of_a_session_ends_its_streams() {
    let gone = code::WT_SESSION_GONE;
    type End = fn(&mut Tester);
    let ends: [(&str, End); 6] = [
        ("FIN", |tester| {
            tester.give(0, &[], true);
        }),
        ("capsule", |tester| {
            tester.feed(0, &capsule_frame(0x2843, &[0, 0, 0, 1]));
        }),
        ("reset", |tester| tester.reset(0, 0x10c, None)),
        ("stop", |tester| tester.stopped(0, 0x10c)),
        ("local", |tester| {
            tester.conn.close_session(SessionId(stream(0)), 1, "").unwrap();
        }),
        ("malformed capsule", |tester| {
            tester.feed(0, &capsule_frame(0x78ae, &[1]));
        }),
    ];
    for (name, end) in ends {
        let (mut tester, session) = server_session();
        tester.conn.bind_stream(session, stream(1)).unwrap();
        tester.conn.bind_stream(session, stream(7)).unwrap();
        tester.feed(4, &[0x40, 0x41, 0]);
        tester.feed(6, &[0x40, 0x54, 0]);
        tester.give(10, &[0x40, 0x54, 0], true);
        tester.conn.recv_closed(stream(10));
        tester.drain();
        end(&mut tester);
        let actions = tester.actions();
        for action in [
            Action::Stop { stream: stream(1), code: gone },
            Action::ResetAt { stream: stream(1), code: gone, reliable_size: 3 },
            Action::Stop { stream: stream(4), code: gone },
            Action::Reset { stream: stream(4), code: gone },
            Action::Stop { stream: stream(6), code: gone },
            Action::ResetAt { stream: stream(7), code: gone, reliable_size: 3 },
        ] {
            assert!(actions.contains(&action), "{name}: {action:?} not in {actions:?}");
        }
        assert!(
            !actions.iter().any(|action| matches!(action, Action::Stop { stream, .. } if stream.0 == 10))
        );
        assert!(end_of(&tester.events()).is_some(), "{name}");
        // Nothing more in either direction, and the connection lives on
        assert_eq!(tester.conn.datagram_header(session), Err(DatagramError::Unknown));
        assert_eq!(tester.conn.check_open(session, Dir::Uni), Err(OpenError::Unknown));
        tester.datagram(&[0, 1]);
        assert_eq!(tester.feed(8, &[0x40, 0x41, 0]), Feed::Discard);
        assert_eq!(tester.feed(14, &[0x40, 0x54, 0]), Feed::Discard);
        let actions = tester.actions();
        assert!(
            cuts(&actions, 8, gone) && actions.contains(&Action::Stop { stream: stream(14), code: gone })
        );
        assert_eq!(tester.events(), [], "{name}");
    }
}

#[test]
fn close_capsules() {
    let long = "\u{e9}".repeat(512);
    assert_eq!(long.len(), 1024);
    for (value, expected) in [
        ([&[0xff, 0xff, 0xff, 0xfe][..], "\u{e9}".as_bytes()].concat(), Some((0xffff_fffe, "\u{e9}"))),
        (vec![0, 0, 0, 0], Some((0, ""))),
        ([&[0; 4][..], long.as_bytes()].concat(), Some((0, &long[..]))),
        ([&[0; 4][..], &[b'a'; 1025]].concat(), None),
        (vec![], None),
        (vec![0, 0, 0], None),
        (vec![0, 0, 0, 0, 0xff, 0xfe], None),
        (vec![0, 0, 0, 0, 0xc0, 0x80], None),
        (vec![0, 0, 0, 0, 0xed, 0xa0, 0x80], None),
    ] {
        let capsule = capsule_bytes(0x2843, &value);
        for step in [1, 700, 4096] {
            let (mut tester, _) = plain_session();
            let mut feed = Feed::Core;
            for chunk in capsule.chunks(step) {
                if feed == Feed::Core {
                    feed = tester.feed(0, &data_frame(chunk));
                }
            }
            let events = tester.events();
            match expected {
                Some((code, reason)) => {
                    let end = SessionEnd::Closed { code, reason: reason.to_owned() };
                    assert_eq!(end_of(&events), Some(&end));
                    let fin = Action::Write { stream: stream(0), data: Default::default(), fin: true };
                    assert_eq!(tester.actions(), [fin]);
                    tester.give(0, &[], true);
                    assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
                }
                None => {
                    assert!(
                        matches!(end_of(&events), Some(SessionEnd::Violation { .. })),
                        "{value:x?} {events:?}"
                    );
                    assert!(cuts(&tester.actions(), 0, code::H3_MESSAGE_ERROR));
                }
            }
        }
    }
}

/// -16 §6
#[test]
fn data_after_a_close_capsule() {
    let close = capsule_bytes(0x2843, &[0, 0, 0, 1]);
    let (mut tester, _) = plain_session();
    tester.feed(0, &data_frame(&close));
    tester.drain();
    tester.feed(0, &data_frame(b"x"));
    assert!(cuts(&tester.actions(), 0, code::H3_MESSAGE_ERROR));
    let (mut tester, _) = plain_session();
    tester.feed(0, &data_frame(&[&close[..], b"x"].concat()));
    assert!(cuts(&tester.actions(), 0, code::H3_MESSAGE_ERROR));
}

#[test]
fn our_close() {
    let (mut tester, session) = plain_session();
    tester.conn.close_session(session, 0x0102_0304, "bye").unwrap();
    let data = [0, 10, 0x68, 0x43, 7, 1, 2, 3, 4, b'b', b'y', b'e'].to_vec();
    assert_eq!(tester.actions(), [Action::Write { stream: stream(0), data: data.into(), fin: true }]);
    assert_eq!(tester.events(), [Event::SessionClosed { session, end: SessionEnd::ClosedLocally }]);
    assert!(!tester.conn.is_quiescent());
    tester.give(0, &capsule_frame(0x2843, &[0, 0, 0, 1]), true);
    assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
    assert!(tester.conn.is_quiescent());

    let (mut tester, session) = plain_session();
    tester.conn.close_session(session, 0, "").unwrap();
    let fin = Action::Write { stream: stream(0), data: Default::default(), fin: true };
    assert_eq!(tester.actions(), [fin]);

    let (mut tester, session) = plain_session();
    let reason = format!("{}{}", "a".repeat(1023), "\u{e9}".repeat(100));
    tester.conn.close_session(session, 0, &reason).unwrap();
    let actions = tester.actions();
    let [Action::Write { data, .. }] = &actions[..] else { panic!() };
    assert!(data.ends_with(b"aaa") && data.len() < 1040);
}

#[test]
fn capsules_cut_off_by_the_end() {
    for (part, malformed) in [
        (&[0x68][..], true),
        (&[0x68, 0x43], true),
        (&[0x17, 5, 1], true),
        (&[0x68, 0x43, 4, 0], true),
        (&[0x17, 0], false),
        (&[], false),
    ] {
        let (mut tester, _) = plain_session();
        tester.give(0, &data_frame(part), true);
        let events = tester.events();
        let end = end_of(&events).unwrap();
        assert_eq!(
            matches!(end, SessionEnd::Violation { code: code::H3_MESSAGE_ERROR, .. }),
            malformed,
            "{part:x?}"
        );
        let reset = Action::Reset { stream: stream(0), code: code::H3_MESSAGE_ERROR };
        assert_eq!(tester.actions().contains(&reset), malformed);
    }
}

#[test]
fn unknown_capsules_are_skipped() {
    for kind in [0x17 + 0x29 * 5, 0x190b_4d38, 0x190b_4d3c, (1 << 62) - 1] {
        let (mut tester, session) = plain_session();
        let capsules = [capsule_bytes(kind, &[0x68; 100_000]), capsule_bytes(0x78ae, &[])].concat();
        for chunk in capsules.chunks(1000) {
            tester.feed(0, &data_frame(chunk));
        }
        assert_eq!(tester.events(), [Event::SessionDraining { session }]);
    }
    let config = Config { max_ignored_elements: 5, ..Config::default() };
    let mut tester = Tester::new(Role::Server, config, FACTS);
    tester.settings(&[BASE[1], D16]);
    tester.drain();
    tester.session("webtransport-h3");
    tester.feed(0, &data_frame(&capsule_bytes(0x17, &[]).repeat(6)));
    assert_eq!(tester.closed(), Some(code::H3_EXCESSIVE_LOAD));
}

#[test]
fn datagram_capsules() {
    let (mut tester, session) = plain_session();
    tester.feed(0, &capsule_frame(0, b"abc"));
    assert_eq!(tester.events(), [Event::Datagram { session, payload: (&b"abc"[..]).into() }]);
    tester.feed(0, &capsule_frame(0, &[0; 5000]));
    assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
}

#[test]
fn draining() {
    let (mut tester, session) = plain_session();
    tester.conn.drain_session(session).unwrap();
    tester.conn.drain_session(session).unwrap();
    let drain =
        Action::Write { stream: stream(0), data: vec![0, 5, 0x80, 0, 0x78, 0xae, 0].into(), fin: false };
    assert_eq!(tester.actions(), [drain]);
    tester.feed(0, &capsule_frame(0x78ae, &[]));
    assert_eq!(tester.events(), [Event::SessionDraining { session }]);
    assert!(tester.conn.check_open(session, Dir::Bidi).is_ok());
    tester.feed(0, &capsule_frame(0x78ae, &[1]));
    assert!(cuts(&tester.actions(), 0, code::H3_MESSAGE_ERROR));
}

/// -16 §4.8 and RFC 9297 §2.1
#[test]
fn exporters_and_datagram_headers() {
    let mut tester = Tester::server(&[&BASE[..], &[D16], &FLOW[..]].concat());
    tester.session("webtransport-h3");
    let session = tester.session_on(4, "webtransport-h3");
    let context = tester.conn.exporter_context(session, b"label", b"").unwrap();
    assert_eq!(context, b"\0\0\0\0\0\0\0\x04\x05label\0");
    assert!(tester.conn.exporter_context(session, &[0; 256], b"").is_err());
    assert!(tester.conn.exporter_context(session, &[0; 255], &[0; 255]).is_ok());
    assert_eq!(tester.conn.datagram_header(session).unwrap()[..], [1]);
    tester.datagram(&[1]);
    assert_eq!(tester.events(), [Event::Datagram { session, payload: Default::default() }]);
}

/// -16 §4: a client may use a session before the answer, a server's early streams wait for it
#[test]
fn optimistic_use() {
    let mut tester = Tester::client(&[&BASE[..], &[D16]].concat());
    tester.drain();
    let session = tester.connect(ConnectRequest::default());
    assert!(tester.conn.bind_stream(session, stream(4)).is_ok());
    assert!(tester.conn.datagram_header(session).is_ok());
    assert_eq!(tester.feed(1, &[0x40, 0x41, 0, 9]), Feed::Hold);
    assert_eq!(tester.feed(7, &[0x40, 0x54, 4]), Feed::Discard, "no session of this client");
    tester.drain();
    tester.feed(0, &headers_frame(&[(":status", "200")]));
    let events = tester.events();
    assert!(matches!(events[0], Event::SessionEstablished { .. }));
    assert_eq!(events[1..], [incoming(session, 1, &[9], false)]);
}

#[test]
fn a_client_cancels() {
    let mut tester = Tester::client(&[&BASE[..], &[D16]].concat());
    tester.drain();
    let session = tester.connect(ConnectRequest::default());
    tester.conn.close_session(session, 5, "x").unwrap();
    assert!(cuts(&tester.actions(), 0, code::H3_REQUEST_CANCELLED), "RFC 9114 §4.1.1");
    assert_eq!(tester.events(), [Event::SessionClosed { session, end: SessionEnd::ClosedLocally }]);
}
