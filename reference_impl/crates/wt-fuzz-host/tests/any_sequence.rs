//! Inputs that no peer would send: the state machine takes anything and keeps its invariants.

use proptest::prelude::*;
use wt_core::{Config, Role, varint};
use wt_fuzz_host::{
    batch, codecs,
    scenario::{self, Op, Start},
};

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, payload.len() as u8], payload].concat()
}

/// Bytes that are likely to get somewhere
fn wire_bytes() -> impl Strategy<Value = Vec<u8>> {
    // Static references and literals of RFC 9204 §4.5: CONNECT, https, authority, path, token
    let request = |token: &str| {
        let literal = |name: &[u8], value: &[u8]| {
            let long =
                if name.len() < 7 { vec![0x20 | name.len() as u8] } else { vec![0x27, name.len() as u8 - 7] };
            [&long, name, &[value.len() as u8], value].concat()
        };
        let fields =
            [&[0, 0, 0xcf, 0xd7, 0x50, 1, b'a', 0xc1][..], &literal(b":protocol", token.as_bytes())].concat();
        frame(1, &fields)
    };
    let known = prop::sample::select(vec![
        request("webtransport-h3"),
        request("webtransport"),
        frame(1, &[0, 0, 0xd9]),
        frame(1, &[0, 0, 0xdb]),
        frame(0, &[0x68, 0x43, 5, 0, 0, 0, 1, b'x']),
        frame(0, &[0x80, 0, 0x78, 0xae, 0]),
        frame(0, &[0x99, 0x0b, 0x4d, 0x3d, 4, 0x90, 0, 0, 0]),
        frame(0, &[0x99, 0x0b, 0x4d, 0x3f, 2, 0x44, 0]),
        frame(0, &[0x17, 3, 1, 2, 3]),
        frame(0, &[]),
        frame(7, &[0]),
        frame(0x21, b"x"),
        vec![0x40, 0x41, 0],
        vec![0x40, 0x54, 0],
        vec![0x40, 0x41, 4],
        vec![0x40],
        vec![2],
        vec![3],
    ]);
    prop_oneof![6 => known, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

fn stream() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..16, 1 => 0u64..100, 1 => 0..=varint::MAX]
}

fn any_start() -> impl Strategy<Value = Start> {
    prop::sample::select(vec![Start::Fresh, Start::Ready, Start::Established])
}

fn op() -> impl Strategy<Value = Op> {
    let fin = prop::bool::weighted(0.15);
    prop_oneof![
        12 => (stream(), wire_bytes(), fin).prop_map(|(id, data, fin)| Op::Data(id, data, fin)),
        1 => (stream(), any::<u64>(), any::<Option<u64>>()).prop_map(|(id, code, size)| Op::Reset(id, code, size)),
        1 => (stream(), any::<u64>()).prop_map(|(id, code)| Op::Stopped(id, code)),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Op::Datagram),
        3 => stream().prop_map(Op::Accept),
        1 => stream().prop_map(Op::Reject),
        2 => stream().prop_map(Op::Connect),
        1 => (stream(), any::<u32>()).prop_map(|(id, code)| Op::Close(id, code)),
        1 => stream().prop_map(Op::Drain),
        1 => Just(Op::GoAway),
        2 => (stream(), stream()).prop_map(|(session, id)| Op::Open(session, id)),
        2 => (stream(), 0u64..2000).prop_map(|(id, bytes)| Op::Body(id, bytes)),
        1 => stream().prop_map(Op::SendClosed),
        1 => stream().prop_map(Op::RecvClosed),
        1 => stream().prop_map(Op::StopStream),
        1 => stream().prop_map(Op::ResetStream),
        1 => Just(Op::Lost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence(server: bool, start in any_start(), ops in prop::collection::vec(op(), 0..60)) {
        let role = if server { Role::Server } else { Role::Client };
        scenario::play(role, start, Config::default(), ops);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        scenario::run(&bytes);
    }

    #[test]
    fn any_item(op in 0u8..16, payload in prop::collection::vec(any::<u8>(), 0..60)) {
        let result = codecs::run(op, &payload);
        prop_assert!(result.get("ok").is_some() || result.get("error").is_some() || result.get("incomplete").is_some());
        let mut item = vec![0, 0, 0, 1, op];
        item.extend((payload.len() as u32).to_be_bytes());
        item.extend(&payload);
        prop_assert!(batch::answer(&item).is_some());
    }
}
