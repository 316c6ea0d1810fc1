//! Inputs that no peer would send: the state machine takes anything, keeps its bounds and says nothing after
//! the end of a connection.

mod common;

use bytes::Bytes;
use common::*;
use proptest::prelude::*;
use wt_core::{AcceptOptions, Action, Config, ConnectRequest, Dir, Event, Input, Role, StreamId, varint};

/// An operation of the peer or of the application
#[derive(Debug, Clone)]
enum Op {
    Data(u64, Vec<u8>, bool),
    Reset(u64, u64, Option<u64>),
    Stopped(u64, u64),
    Datagram(Vec<u8>),
    Accept(u64),
    Reject(u64),
    Connect(u64),
    Close(u64, u32),
    Open(u64, u64),
    Body(u64, u64),
    Done(u64, bool),
    StopStream(u64),
    ResetStream(u64),
    Lost,
}

/// Bytes that are likely to get somewhere
fn wire_bytes() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        settings_frame(&[&BASE[..], &[D16, D02], &FLOW[..]].concat()),
        [vec![0], settings_frame(&[&BASE[..], &[D16], &FLOW[..]].concat())].concat(),
        connect_frame("webtransport-h3", &[]),
        connect_frame("webtransport", &[("sec-webtransport-http3-draft02", "1")]),
        headers_frame(&[(":status", "200")]),
        headers_frame(&[(":status", "404")]),
        capsule_frame(0x2843, &[0, 0, 0, 1, b'x']),
        capsule_frame(0x78ae, &[]),
        capsule_frame(0x190b_4d3d, &[0x60, 0, 0, 0]),
        capsule_frame(0x190b_4d3f, &[20]),
        capsule_frame(0x17, &[1, 2, 3]),
        data_frame(&[]),
        frame_of(0x07, &[0]),
        frame_of(0x21, b"x"),
        vec![0x40, 0x41, 0],
        vec![0x40, 0x54, 0],
        vec![0x40, 0x41, 4],
        vec![0x40],
        vec![2],
        vec![3],
    ]);
    prop_oneof![6 => known, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

fn stream_id() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..16, 1 => 0u64..100, 1 => any::<u64>().prop_map(|id| id & varint::MAX)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (stream_id(), wire_bytes(), prop::bool::weighted(0.15)).prop_map(|(id, data, fin)| Op::Data(id, data, fin)),
        1 => (stream_id(), any::<u64>(), any::<Option<u64>>()).prop_map(|(id, code, size)| Op::Reset(id, code, size)),
        1 => (stream_id(), any::<u64>()).prop_map(|(id, code)| Op::Stopped(id, code)),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Op::Datagram),
        3 => stream_id().prop_map(Op::Accept),
        1 => stream_id().prop_map(Op::Reject),
        2 => stream_id().prop_map(Op::Connect),
        1 => (stream_id(), any::<u32>()).prop_map(|(id, code)| Op::Close(id, code)),
        2 => (stream_id(), stream_id()).prop_map(|(session, id)| Op::Open(session, id)),
        2 => (stream_id(), 0u64..2000).prop_map(|(id, bytes)| Op::Body(id, bytes)),
        1 => (stream_id(), any::<bool>()).prop_map(|(id, send)| Op::Done(id, send)),
        1 => stream_id().prop_map(Op::StopStream),
        1 => stream_id().prop_map(Op::ResetStream),
        1 => Just(Op::Lost),
    ]
}

fn apply(tester: &mut Tester, op: Op) {
    let session = |id| wt_core::SessionId(StreamId(id));
    let conn = &mut tester.conn;
    match op {
        Op::Data(id, data, fin) => {
            conn.handle(Input::StreamData { stream: StreamId(id), data: Bytes::from(data), fin });
        }
        Op::Reset(id, code, final_size) => {
            conn.handle(Input::StreamReset { stream: StreamId(id), code, final_size });
        }
        Op::Stopped(id, code) => {
            conn.handle(Input::StreamStopped { stream: StreamId(id), code });
        }
        Op::Datagram(payload) => {
            conn.handle(Input::Datagram(payload.into()));
        }
        Op::Accept(id) => {
            let _ = conn.accept(session(id), AcceptOptions::default());
        }
        Op::Reject(id) => {
            let _ = conn.reject(session(id), 404, &[]);
        }
        Op::Connect(id) => {
            let request = ConnectRequest { authority: "a".into(), path: "/".into(), ..Default::default() };
            let _ = conn.connect(StreamId(id), request);
        }
        Op::Close(id, code) => {
            let _ = conn.close_session(session(id), code, "reason");
        }
        Op::Open(id, stream) => {
            let _ = conn.check_open(session(id), Dir::Bidi);
            let _ = conn.bind_stream(session(id), StreamId(stream));
        }
        Op::Body(id, bytes) => {
            let _ = conn.body_received(StreamId(id), bytes);
            conn.body_consumed(StreamId(id), bytes);
            let credit = conn.send_credit(StreamId(id));
            conn.body_sent(StreamId(id), bytes.min(credit));
            conn.blocked(StreamId(id));
        }
        Op::Done(id, true) => conn.send_closed(StreamId(id)),
        Op::Done(id, false) => conn.recv_closed(StreamId(id)),
        Op::StopStream(id) => {
            let _ = conn.stop_stream(StreamId(id), 1);
        }
        Op::ResetStream(id) => {
            let _ = conn.reset_stream(StreamId(id), 1);
        }
        Op::Lost => {
            conn.handle(Input::ConnectionLost);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence(is_server: bool, ready in prop::bool::weighted(0.8), ops in prop::collection::vec(op(), 0..60)) {
        let role = if is_server { Role::Server } else { Role::Client };
        let mut tester = Tester::new(role, Config::default(), FACTS);
        if ready {
            tester.settings(&[&BASE[..], &[D16], &FLOW[..]].concat());
        }
        let mut closed = false;
        let mut open = std::collections::BTreeSet::new();
        for op in ops {
            let lost = matches!(op, Op::Lost);
            apply(&mut tester, op);
            for action in tester.actions() {
                prop_assert!(!closed, "{action:?} after the end");
                closed = matches!(action, Action::CloseConnection { .. });
            }
            for event in tester.events() {
                match event {
                    Event::SessionRequest { session, .. } => prop_assert!(open.insert(session)),
                    Event::SessionEstablished { session, .. } => prop_assert!(open.insert(session)),
                    Event::SessionClosed { session, .. } => {
                        // A client may cancel what was never established
                        prop_assert!(open.remove(&session) || role == Role::Client);
                    }
                    Event::IncomingStream { session, .. } | Event::Datagram { session, .. } => {
                        prop_assert!(open.contains(&session));
                    }
                    _ => {}
                }
            }
            if lost {
                closed = true;
            }
            if closed {
                prop_assert!(open.is_empty());
            }
        }
    }
}
