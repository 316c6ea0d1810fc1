//! Session flow control, in both directions (-16 §5).

mod common;

use common::*;
use wt_core::{
    Config, Dir, Draft, Event, Feed, OpenError, Role, SessionError, SessionId, StreamId, capsule::Capsule,
    code,
};

const MAX_DATA: u64 = 0x190b_4d3d;
const MAX_STREAMS_BIDI: u64 = 0x190b_4d3f;
const MAX_STREAMS_UNI: u64 = 0x190b_4d40;
const DATA_BLOCKED: u64 = 0x190b_4d41;
const STREAMS_BLOCKED_BIDI: u64 = 0x190b_4d43;
const STREAMS_BLOCKED_UNI: u64 = 0x190b_4d44;

fn stream(id: u64) -> StreamId {
    StreamId(id)
}

fn incoming(session: SessionId, id: u64, body: &[u8], fin: bool) -> Event {
    let body = bytes::Bytes::copy_from_slice(body);
    Event::IncomingStream { session, stream: stream(id), body, fin, reset: None }
}

/// -16 §5.1: ignored where flow control is off, whatever is in them
#[test]
fn flow_control_capsules_without_flow_control() {
    for kind in
        [MAX_DATA, MAX_STREAMS_BIDI, MAX_STREAMS_UNI, DATA_BLOCKED, STREAMS_BLOCKED_BIDI, STREAMS_BLOCKED_UNI]
    {
        let (mut tester, session) = plain_session();
        for value in [&[5][..], &[5], &[4], &[], &[1, 2, 3]] {
            tester.feed(0, &capsule_frame(kind, value));
        }
        assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
        tester.conn.bind_stream(session, stream(1)).unwrap();
        assert_eq!(tester.conn.send_credit(stream(1)), u64::MAX);
        assert_eq!(tester.conn.session_limits(session), Ok(None));
    }
}

/// -16 §5.4: prohibited, in every draft that has flow control
#[test]
fn limits_of_single_streams() {
    for kind in [0x190b_4d3e, 0x190b_4d42] {
        let (mut tester, _) = plain_session();
        tester.feed(0, &capsule_frame(kind, &[0, 5]));
        assert!(cuts(&tester.actions(), 0, code::WT_FLOW_CONTROL_ERROR));
        let mut tester = Tester::server(&[BASE[1], D07]);
        tester.session("webtransport");
        tester.feed(0, &capsule_frame(kind, &[0, 5]));
        assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
    }
}

/// -16 §5.6
#[test]
fn violations_of_flow_control() {
    let above = bytes(&[(1 << 60) + 1]);
    let at = bytes(&[1 << 60]);
    for (capsules, code) in [
        (vec![(MAX_DATA, vec![0x50, 0]), (MAX_DATA, vec![0x50, 0])], Some(code::WT_FLOW_CONTROL_ERROR)),
        (vec![(MAX_DATA, vec![0x50, 0]), (MAX_DATA, vec![0x4f, 0])], Some(code::WT_FLOW_CONTROL_ERROR)),
        (vec![(MAX_STREAMS_BIDI, vec![10]), (MAX_STREAMS_BIDI, vec![10])], Some(code::WT_FLOW_CONTROL_ERROR)),
        (vec![(MAX_STREAMS_UNI, vec![10]), (MAX_STREAMS_UNI, vec![9])], Some(code::WT_FLOW_CONTROL_ERROR)),
        (vec![(MAX_STREAMS_UNI, above.clone())], Some(code::WT_FLOW_CONTROL_ERROR)),
        (vec![(STREAMS_BLOCKED_BIDI, above.clone())], Some(code::WT_FLOW_CONTROL_ERROR)),
        (vec![(STREAMS_BLOCKED_UNI, above)], Some(code::WT_FLOW_CONTROL_ERROR)),
        (vec![(MAX_STREAMS_UNI, at.clone()), (STREAMS_BLOCKED_UNI, at)], None),
        (vec![(MAX_DATA, vec![])], Some(code::H3_MESSAGE_ERROR)),
        (vec![(MAX_DATA, vec![5, 5])], Some(code::H3_MESSAGE_ERROR)),
        (vec![(MAX_STREAMS_BIDI, vec![])], Some(code::H3_MESSAGE_ERROR)),
        (vec![(MAX_STREAMS_BIDI, vec![0x40])], Some(code::H3_MESSAGE_ERROR)),
        (vec![(MAX_STREAMS_UNI, vec![0; 9])], Some(code::H3_MESSAGE_ERROR)),
        (vec![(DATA_BLOCKED, vec![5]), (DATA_BLOCKED, vec![5])], None),
    ] {
        let (mut tester, _) = server_session();
        let mut feed = Feed::Core;
        for (kind, value) in &capsules {
            if feed == Feed::Core {
                feed = tester.feed(0, &capsule_frame(*kind, value));
            }
        }
        let actions = tester.actions();
        match code {
            Some(code) => assert!(cuts(&actions, 0, code), "{capsules:x?} {actions:?}"),
            None => assert_eq!(actions, [], "{capsules:x?}"),
        }
    }
}

/// A server whose own limits are small
fn small_limits() -> (Tester, SessionId) {
    let config = Config {
        initial_max_data: 10,
        initial_max_streams_bidi: 2,
        initial_max_streams_uni: 1,
        reports_final_sizes: true,
        ..Config::default()
    };
    let mut tester = Tester::new(Role::Server, config, FACTS);
    tester.settings(&[&BASE[..], &[D16], &FLOW[..]].concat());
    tester.drain();
    let session = tester.session("webtransport-h3");
    (tester, session)
}

/// The limits that are told are those of SETTINGS first, then those of the capsules of both sides.
#[test]
fn limits_in_force() {
    let (mut tester, session) = small_limits();
    assert!(tester.conn.flow_control_drafts().contains(&Draft::D16));
    let limits = |tester: &Tester| tester.conn.session_limits(session).unwrap().unwrap();
    let first = limits(&tester);
    assert_eq!((first.ours.data, first.ours.bidi, first.ours.uni), (10, 2, 1));
    tester.feed(0, &capsule_frame(MAX_DATA, &[0x7f, 0xff]));
    tester.feed(0, &capsule_frame(MAX_STREAMS_UNI, &[0x7f, 0xfe]));
    tester.feed(6, &[0x40, 0x54, 0, 1, 2, 3, 4, 5, 6]);
    tester.conn.body_consumed(stream(6), 6);
    let now = limits(&tester);
    assert_eq!((now.peer.data, now.peer.bidi, now.peer.uni), (0x3fff, first.peer.bidi, 0x3ffe));
    assert_eq!((now.ours.data, now.ours.bidi, now.ours.uni), (16, 2, 1));
    assert_eq!(tester.conn.session_limits(SessionId(stream(4))), Err(SessionError::Unknown));
}

#[test]
fn the_peer_is_held_to_our_limits() {
    let (mut tester, _) = small_limits();
    tester.give(6, &[0x40, 0x54, 0], true);
    tester.feed(10, &[0x40, 0x54, 0]);
    assert!(cuts(&tester.actions(), 0, code::WT_FLOW_CONTROL_ERROR), "more streams");

    let (mut tester, _) = small_limits();
    tester.feed(6, &[&[0x40, 0x54, 0][..], &[0; 10]].concat());
    assert_eq!(tester.actions(), []);
    assert!(!tester.conn.body_received(stream(6), 1));
    assert!(cuts(&tester.actions(), 0, code::WT_FLOW_CONTROL_ERROR), "more data");

    let (mut tester, _) = small_limits();
    tester.feed(6, &[0x40, 0x54, 0]);
    tester.reset(6, 0x52e4_a40f_a8db, Some(3 + 10));
    let actions = tester.actions();
    assert!(!cuts(&actions, 0, code::WT_FLOW_CONTROL_ERROR));
    tester.feed(4, &[0x40, 0x41, 0]);
    tester.reset(4, 0x52e4_a40f_a8db, Some(3 + 11));
    assert!(cuts(&tester.actions(), 0, code::WT_FLOW_CONTROL_ERROR), "final size beyond the limit");
}

/// -16 §5.6: credit without waiting for a blocked capsule
#[test]
fn the_peer_gets_new_credit() {
    let (mut tester, _) = small_limits();
    tester.feed(6, &[&[0x40, 0x54, 0][..], &[0; 10]].concat());
    tester.conn.body_consumed(stream(6), 10);
    assert_eq!(written_capsules(&tester.actions(), 0), [encoded(&Capsule::MaxData(20))]);
    tester.conn.recv_closed(stream(6));
    assert_eq!(written_capsules(&tester.actions(), 0), [encoded(&Capsule::MaxStreams(Dir::Uni, 2))]);
    // A stopped stream gives its credit back when its final size is known
    tester.feed(4, &[0x40, 0x41, 0]);
    tester.conn.stop_stream(stream(4), 0).unwrap();
    tester.conn.reset_stream(stream(4), 0).unwrap();
    tester.drain();
    tester.reset(4, 0x52e4_a40f_a8db, Some(3 + 10));
    let expected = [Capsule::MaxData(30), Capsule::MaxStreams(Dir::Bidi, 3)].map(|capsule| encoded(&capsule));
    assert_eq!(written_capsules(&tester.actions(), 0), expected);
    assert_eq!(tester.events(), [], "the reset of what was stopped is no news");
}

#[test]
fn we_keep_to_the_limits_of_the_peer() {
    let (mut tester, session) = server_session();
    for id in [7, 11, 15] {
        tester.conn.check_open(session, Dir::Uni).unwrap();
        tester.conn.bind_stream(session, stream(id)).unwrap();
    }
    assert_eq!(tester.conn.check_open(session, Dir::Uni), Err(OpenError::Blocked));
    assert_eq!(tester.conn.bind_stream(session, stream(19)), Err(OpenError::Blocked));
    assert_eq!(written_capsules(&tester.actions(), 0), [encoded(&Capsule::StreamsBlocked(Dir::Uni, 3))]);
    assert_eq!(tester.conn.check_open(session, Dir::Bidi), Ok(()));
    tester.conn.send_closed(stream(7));
    assert_eq!(tester.conn.check_open(session, Dir::Uni), Err(OpenError::Blocked), "closed streams count");
    assert_eq!(tester.conn.send_credit(stream(11)), 1000);
    tester.conn.body_sent(stream(11), 1000);
    assert_eq!(tester.conn.send_credit(stream(15)), 0);
    tester.drain();
    tester.conn.blocked(stream(15));
    tester.conn.blocked(stream(11));
    assert_eq!(written_capsules(&tester.actions(), 0), [encoded(&Capsule::DataBlocked(1000))]);
    tester.feed(0, &capsule_frame(MAX_STREAMS_UNI, &[5]));
    tester.feed(0, &capsule_frame(MAX_DATA, &bytes(&[3000])));
    assert_eq!(
        tester.events(),
        [Event::StreamCredit { session, dir: Dir::Uni }, Event::DataCredit { session }]
    );
    assert_eq!(tester.conn.send_credit(stream(15)), 2000);
    assert!(tester.conn.bind_stream(session, stream(19)).is_ok());
}

/// -16 §5.5: each session starts from the settings, and a violation concerns one
#[test]
fn accounts_are_per_session() {
    let mut tester = Tester::server(&[&BASE[..], &[D16], &FLOW[..]].concat());
    let first = tester.session("webtransport-h3");
    let second = tester.session_on(4, "webtransport-h3");
    for id in [7, 11, 15] {
        tester.conn.bind_stream(first, stream(id)).unwrap();
    }
    tester.conn.body_sent(stream(7), 1000);
    assert_eq!(tester.conn.bind_stream(second, stream(19)).unwrap()[..], [0x40, 0x54, 4]);
    assert_eq!(tester.conn.send_credit(stream(19)), 1000);
    tester.drain();
    tester.feed(0, &capsule_frame(MAX_STREAMS_UNI, &bytes(&[(1 << 60) + 1])));
    assert!(cuts(&tester.actions(), 0, code::WT_FLOW_CONTROL_ERROR));
    tester.feed(8, &[0x40, 0x41, 4, 1]);
    let events = tester.events();
    assert_eq!(events[1..], [incoming(second, 8, &[1], false)]);
}
