//! Rules of HTTP/3 and QPACK whose breach closes the connection. Each row quotes its section.

mod common;

use common::*;
use wt_core::{Action, Config, Input, Role, StreamId, code};

/// Bytes on a stream of the peer, fed whole and one by one, and the code of the connection error.
struct Row {
    section: &'static str,
    role: Role,
    stream: u64,
    bytes: Vec<u8>,
    fin: bool,
    code: Option<u64>,
}

/// Endpoint under test: a server with a session on stream 0, or a client with one.
fn endpoint(role: Role) -> Tester {
    let all = [&BASE[..], &[D16]].concat();
    match role {
        Role::Server => {
            let mut tester = Tester::server(&all);
            tester.session("webtransport-h3");
            tester
        }
        Role::Client => {
            let mut tester = Tester::client(&all);
            tester.events();
            tester.established();
            tester
        }
    }
}

fn check(rows: Vec<Row>) {
    for Row { section, role, stream, bytes, fin, code } in rows {
        for step in [bytes.len().max(1), 1] {
            let mut tester = endpoint(role);
            let last = bytes.len().div_ceil(step);
            for (index, chunk) in bytes.chunks(step).enumerate() {
                tester.give(stream, chunk, fin && index + 1 == last);
            }
            if bytes.is_empty() {
                tester.give(stream, &[], fin);
            }
            assert_eq!(tester.closed(), code, "{section}: {bytes:x?} in steps of {step}");
        }
    }
}

fn row(section: &'static str, role: Role, stream: u64, bytes: Vec<u8>, code: Option<u64>) -> Row {
    Row { section, role, stream, bytes, fin: false, code }
}

fn fin(row: Row) -> Row {
    Row { fin: true, ..row }
}

#[test]
fn control_stream_frames() {
    use Role::*;
    let unexpected = Some(code::H3_FRAME_UNEXPECTED);
    let id_error = Some(code::H3_ID_ERROR);
    let frame_error = Some(code::H3_FRAME_ERROR);
    let mut rows = Vec::new();
    for (role, control) in [(Server, 2), (Client, 3)] {
        let on = |section, bytes, code| row(section, role, control, bytes, code);
        rows.extend([
            on("RFC 9114 §7.2.1", frame_of(0x00, b"x"), unexpected),
            on("RFC 9114 §7.2.2", frame_of(0x01, &[0, 0]), unexpected),
            on("RFC 9114 §7.2.4", settings_frame(&[]), unexpected),
            on("RFC 9114 §7.2.5", frame_of(0x05, &[0]), unexpected),
            on("RFC 9114 §7.2.8", frame_of(0x02, &[]), unexpected),
            on("RFC 9114 §7.2.8", frame_of(0x06, &[]), unexpected),
            on("RFC 9114 §7.2.8", frame_of(0x08, &[]), unexpected),
            on("RFC 9114 §7.2.8", frame_of(0x09, &[]), unexpected),
            on("RFC 9114 §7.2.8", frame_of(0x21 + 0x1f * 7, b"anything"), None),
            on("RFC 9114 §9", frame_of(0x3f3f, &[7; 300]), None),
            on("-16 §4.3", vec![0x40, 0x41, 0x00], frame_error),
            on("RFC 9114 §7.1", frame_of(0x07, &[]), frame_error),
            on("RFC 9114 §7.1", frame_of(0x07, &[0x40, 0x00, 0x00]), frame_error),
            on("RFC 9114 §7.1", frame_of(0x07, &[0, 0]), frame_error),
            on("RFC 9114 §7.1", frame_of(0x07, &[0; 9]), frame_error),
            on("RFC 9114 §5.2", [frame_of(0x07, &[8]), frame_of(0x07, &[12])].concat(), id_error),
            on("RFC 9114 §5.2", [frame_of(0x07, &[8]), frame_of(0x07, &[8])].concat(), None),
            on("RFC 9114 §7.2.3", frame_of(0x03, &[0]), id_error),
            fin(on("RFC 9114 §6.2.1", vec![], Some(code::H3_CLOSED_CRITICAL_STREAM))),
        ]);
    }
    rows.extend([
        row("RFC 9114 §7.2.6", Client, 3, frame_of(0x07, &[1]), id_error),
        row("RFC 9114 §7.2.6", Client, 3, frame_of(0x07, &[2]), id_error),
        row("RFC 9114 §7.2.6", Client, 3, frame_of(0x07, &[3]), id_error),
        row("RFC 9114 §7.2.6", Server, 2, frame_of(0x07, &[3]), None),
        row("RFC 9114 §7.2.7", Client, 3, frame_of(0x0d, &[0]), unexpected),
        row("RFC 9114 §7.2.7", Server, 2, [frame_of(0x0d, &[5]), frame_of(0x0d, &[3])].concat(), id_error),
        row("RFC 9114 §7.2.7", Server, 2, [frame_of(0x0d, &[5]), frame_of(0x0d, &[5])].concat(), None),
        row("RFC 9218 §7.2", Server, 2, frame_of(0xf0700, &[0, b'u', b'=', b'1']), None),
        row("RFC 9218 §7.2", Server, 2, frame_of(0xf0700, &[1]), id_error),
        row("RFC 9218 §7.2", Server, 2, frame_of(0xf0700, &[]), frame_error),
        row("RFC 9218 §7.2", Server, 2, frame_of(0xf0701, &[0]), id_error),
        row("RFC 9218 §7.2", Client, 3, frame_of(0xf0700, &[0]), unexpected),
    ]);
    check(rows);
}

#[test]
fn request_stream_frames() {
    use Role::*;
    let unexpected = Some(code::H3_FRAME_UNEXPECTED);
    let frame_error = Some(code::H3_FRAME_ERROR);
    let get = headers_frame(&[(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]);
    let trailers = headers_frame(&[("a", "b")]);
    let mut rows = vec![
        row("RFC 9114 §4.1", Server, 4, data_frame(b"x"), unexpected),
        row("RFC 9114 §7.2.5", Server, 4, frame_of(0x05, &[0]), unexpected),
        row("RFC 9114 §4.1", Server, 4, [get.clone(), data_frame(b"x"), trailers.clone()].concat(), None),
        row(
            "RFC 9114 §4.1",
            Server,
            4,
            [get.clone(), trailers.clone(), data_frame(b"x")].concat(),
            unexpected,
        ),
        row(
            "RFC 9114 §4.1",
            Server,
            4,
            [get.clone(), trailers.clone(), trailers.clone()].concat(),
            unexpected,
        ),
        row("-16 §4.3", Server, 4, [&get[..], &[0x40, 0x41, 0]].concat(), frame_error),
        row("-16 §4.3", Server, 4, [&frame_of(0x21, &[])[..], &[0x40, 0x41, 0]].concat(), frame_error),
        row("RFC 9114 §7.1", Server, 4, frame_of(0x01, &[0]), Some(code::QPACK_DECOMPRESSION_FAILED)),
        row(
            "RFC 9204 §4.5.1",
            Server,
            4,
            frame_of(0x01, &[0xff, 2, 0]),
            Some(code::QPACK_DECOMPRESSION_FAILED),
        ),
        fin(row("RFC 9114 §7.1", Server, 4, vec![0x01, 5, 0], frame_error)),
        fin(row("RFC 9114 §7.1", Server, 4, vec![0x40], frame_error)),
        // RFC 9114 §4.1: no request, a stream error
        fin(row("RFC 9114 §4.1", Server, 4, frame_of(0x21, &[]), None)),
    ];
    for role in [Server, Client] {
        let on = |section, bytes, code| row(section, role, 0, bytes, code);
        rows.extend([
            on("RFC 9114 §4.4", trailers.clone(), unexpected),
            on("RFC 9114 §4.4", frame_of(0x05, &[0]), unexpected),
            on("RFC 9114 §7.2.3", frame_of(0x03, &[0]), unexpected),
            on("RFC 9114 §7.2.4", settings_frame(&[]), unexpected),
            on("RFC 9114 §7.2.6", frame_of(0x07, &[0]), unexpected),
            on("RFC 9114 §7.2.7", frame_of(0x0d, &[0]), unexpected),
            on("RFC 9114 §7.2.8", frame_of(0x02, &[]), unexpected),
            on("RFC 9218 §7.1", frame_of(0xf0700, &[0]), unexpected),
            on("-16 §4.3", vec![0x40, 0x41, 0], frame_error),
            on("RFC 9114 §4.1", frame_of(0x21, b"grease"), None),
            on("RFC 9297 §3.2", data_frame(&[]), None),
            fin(on("RFC 9114 §7.1", vec![0x00, 10, 0x17, 5], frame_error)),
        ]);
    }
    check(rows);
}

#[test]
fn before_the_response() {
    for (section, bytes, expected) in [
        ("RFC 9114 §4.1", data_frame(b"x"), code::H3_FRAME_UNEXPECTED),
        ("RFC 9114 §7.2.5", frame_of(0x05, &[0]), code::H3_ID_ERROR),
        ("-16 §4.3", vec![0x40, 0x41, 0], code::H3_FRAME_ERROR),
    ] {
        let mut tester = Tester::client(&[&BASE[..], &[D16]].concat());
        tester.connect(Default::default());
        tester.feed(0, &bytes);
        assert_eq!(tester.closed(), Some(expected), "{section}");
    }
}

#[test]
fn unidirectional_streams() {
    use Role::*;
    let mut rows = vec![
        row("RFC 9114 §6.2.2", Server, 6, vec![1, 0], Some(code::H3_STREAM_CREATION_ERROR)),
        row("RFC 9114 §6.2.2", Client, 7, vec![1, 0], Some(code::H3_ID_ERROR)),
    ];
    for (role, stream) in [(Server, 6), (Client, 7)] {
        let on = |section, bytes, code| row(section, role, stream, bytes, code);
        rows.extend([
            on("RFC 9114 §6.2.1", vec![0], Some(code::H3_STREAM_CREATION_ERROR)),
            on("RFC 9114 §6.2.3", bytes(&[0x21 + 0x1f * 5]), None),
            on("RFC 9114 §6.2", bytes(&[0x3fff]), None),
            fin(on("RFC 9114 §6.2", vec![], None)),
            fin(on("RFC 9114 §6.2", vec![0x40], None)),
            fin(on("-16 §4.2", vec![0x40, 0x54], None)),
            on("-16 §4", vec![0x40, 0x54, 1], Some(code::H3_ID_ERROR)),
            on("-16 §4", vec![0x40, 0x54, 2], Some(code::H3_ID_ERROR)),
            on("-16 §4", vec![0x40, 0x54, 3], Some(code::H3_ID_ERROR)),
            on("-16 §4", bytes(&[0x54, (1 << 62) - 1]), Some(code::H3_ID_ERROR)),
            on("RFC 9204 §4.2", vec![2], None),
            on("RFC 9204 §4.2", vec![3], None),
            fin(on("RFC 9204 §4.2", vec![2], Some(code::H3_CLOSED_CRITICAL_STREAM))),
            fin(on("RFC 9204 §4.2", vec![3], Some(code::H3_CLOSED_CRITICAL_STREAM))),
            on("RFC 9204 §4.3.1", vec![2, 0x3f, 0xe2, 0x1f], Some(code::QPACK_ENCODER_STREAM_ERROR)),
            on("RFC 9204 §4.4.1", vec![3, 0x80], Some(code::QPACK_DECODER_STREAM_ERROR)),
            on("RFC 9204 §4.4.3", vec![3, 0x00], Some(code::QPACK_DECODER_STREAM_ERROR)),
        ]);
    }
    check(rows);
    for stream_type in [2, 3] {
        let mut tester = endpoint(Server);
        tester.feed(6, &[stream_type]);
        tester.feed(10, &[stream_type]);
        assert_eq!(tester.closed(), Some(code::H3_STREAM_CREATION_ERROR), "RFC 9204 §4.2");
        let mut tester = endpoint(Server);
        tester.feed(6, &[stream_type]);
        tester.reset(6, 0, None);
        assert_eq!(tester.closed(), Some(code::H3_CLOSED_CRITICAL_STREAM), "RFC 9204 §4.2");
    }
    let mut tester = endpoint(Server);
    tester.feed(6, &bytes(&[0x3fff]));
    let stop = Action::Stop { stream: StreamId(6), code: code::H3_STREAM_CREATION_ERROR };
    assert_eq!(tester.actions(), [stop], "RFC 9114 §6.2");
}

#[test]
fn bidirectional_streams_name_sessions() {
    let id_error = Some(code::H3_ID_ERROR);
    let rows = [1, 2, 3].into_iter().flat_map(|id| {
        [
            row("-16 §4", Role::Server, 4, vec![0x40, 0x41, id], id_error),
            row("-16 §4", Role::Client, 1, vec![0x40, 0x41, id], id_error),
        ]
    });
    check(rows.collect());
}

#[test]
fn settings_are_validated() {
    let server_error = |pairs: &[(u64, u64)], role| {
        let mut tester = Tester::new(role, Config::default(), FACTS);
        tester.settings(pairs);
        tester.closed()
    };
    for role in [Role::Client, Role::Server] {
        for bad in [
            &[(0x00, 0)][..],
            &[(0x02, 0)],
            &[(0x03, 1)],
            &[(0x04, 1)],
            &[(0x05, 1)],
            &[(0x33, 2)],
            &[(0x08, 2)],
            &[(0x33, 1), (0x33, 1)],
            &[(0x2b60_3742, 2)],
        ] {
            assert_eq!(server_error(bad, role), Some(code::H3_SETTINGS_ERROR), "{bad:x?}");
        }
        for good in
            [&[][..], &[(0x21, 5), (0x1f * 1000 + 0x21, 0)], &[(0x3f3f_3f3f, 1)], &[(0x01, 0), (0x07, 0)]]
        {
            assert_eq!(server_error(good, role), None, "{good:x?}");
        }
    }
    // -16 §3.1 binds clients
    assert_eq!(server_error(&[(0x2c7c_f000, 2)], Role::Client), Some(code::H3_SETTINGS_ERROR));
    assert_eq!(server_error(&[(0x2c7c_f000, 2)], Role::Server), None);
    let mut tester = Tester::new(Role::Server, Config::default(), FACTS);
    tester.feed(2, &[0, 4, 1, 0x33]);
    assert_eq!(tester.closed(), Some(code::H3_FRAME_ERROR), "RFC 9114 §7.1");
}

#[test]
fn settings_come_first_and_are_bounded() {
    for (first, expected) in [
        (frame_of(0x07, &[0]), code::H3_MISSING_SETTINGS),
        (frame_of(0x21, &[]), code::H3_MISSING_SETTINGS),
        (vec![0x40, 0x41], code::H3_FRAME_ERROR),
        ([&[0x04][..], &bytes(&[1 << 30])].concat(), code::H3_EXCESSIVE_LOAD),
    ] {
        let mut tester = Tester::new(Role::Server, Config::default(), FACTS);
        tester.feed(2, &[&[0][..], &first].concat());
        assert_eq!(tester.closed(), Some(expected), "{first:x?}");
    }
}

#[test]
fn the_control_stream_may_not_be_stopped_or_reset() {
    let mut tester = endpoint(Role::Server);
    tester.stopped(3, 0);
    assert_eq!(tester.closed(), Some(code::H3_CLOSED_CRITICAL_STREAM));
    let mut tester = endpoint(Role::Server);
    tester.reset(2, 0, None);
    assert_eq!(tester.closed(), Some(code::H3_CLOSED_CRITICAL_STREAM));
}

/// RFC 9114 §6.1
#[test]
fn a_server_opens_no_bidirectional_stream_without_the_extension() {
    for settings in [&[][..], &[(0x33, 1)]] {
        let mut tester = Tester::client(settings);
        tester.feed(1, &[0x40, 0x41, 0]);
        assert_eq!(tester.closed(), Some(code::H3_STREAM_CREATION_ERROR));
    }
}

/// RFC 9297 §2.1
#[test]
fn datagrams() {
    let quarter = |value| bytes(&[value]);
    for (payload, expected) in [
        (vec![], Some(code::H3_DATAGRAM_ERROR)),
        (vec![0x40], Some(code::H3_DATAGRAM_ERROR)),
        (quarter(1 << 60), Some(code::H3_DATAGRAM_ERROR)),
        (quarter((1 << 60) - 1), None),
        (quarter(0), None),
        (vec![0xc0, 0, 0, 0, 0, 0, 0, 0], None),
    ] {
        for role in [Role::Client, Role::Server] {
            let mut tester = endpoint(role);
            tester.datagram(&payload);
            assert_eq!(tester.closed(), expected, "{payload:x?}");
        }
    }
}

/// RFC 9114 §10.5
#[test]
fn what_has_no_effect_is_counted() {
    let config = Config { max_ignored_elements: 10, ..Config::default() };
    let mut tester = Tester::new(Role::Server, config, FACTS);
    tester.settings(&[]);
    for _ in 0..10 {
        tester.feed(2, &frame_of(0x21, &[]));
    }
    assert_eq!(tester.closed(), None);
    tester.feed(2, &frame_of(0x21, &[]));
    assert_eq!(tester.closed(), Some(code::H3_EXCESSIVE_LOAD));
}

#[test]
fn nothing_follows_the_close() {
    let mut tester = endpoint(Role::Server);
    tester.feed(2, &frame_of(0x00, &[]));
    tester.drain();
    tester.feed(4, &connect_frame("webtransport-h3", &[]));
    tester.conn.handle(Input::ConnectionLost);
    tester.conn.goaway();
    assert_eq!((tester.actions(), tester.events()), (vec![], vec![]));
}
