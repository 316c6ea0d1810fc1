//! Nothing stays behind, whatever way streams and sessions end; nothing that arrives does harm.

mod support;

use std::net::UdpSocket;

use bytes::Bytes;
use support::{Pair, client_config, noise, request, server_config};
use wt_reactor::{AcceptOptions, Dir, Event};

/// Control and CONNECT stream, and what the peer opens for HTTP/3
fn streams(pair: &mut Pair) -> (u64, u64) {
    pair.client.poll();
    pair.server.poll();
    (pair.client.endpoint.stats().streams, pair.server.endpoint.stats().streams)
}

#[test]
fn streams_that_ended_are_forgotten() {
    let mut pair = Pair::new();
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, "first", true);
    let there = pair.server.incoming();
    let _ = pair.server.read_to_end(there);
    let mut before = streams(&mut pair);
    // Until the acknowledgement has arrived too
    while before != streams(&mut pair) || before.0 > 6 {
        before = streams(&mut pair);
    }
    for round in 0..60 {
        let dir = if round % 2 == 0 { Dir::Bidi } else { Dir::Uni };
        let stream = pair.open(dir);
        pair.client.write(stream, noise(5000), round % 3 == 0);
        let there = pair.server.incoming();
        match round % 5 {
            0 => pair.server.endpoint.release(there),
            1 => pair.client.endpoint.release(stream),
            2 => pair.server.endpoint.stop(there, 1).unwrap(),
            3 => {
                pair.server.read(there);
            }
            _ => {}
        }
        pair.client.endpoint.release(stream);
        pair.server.endpoint.release(there);
    }
    // Fewer, if an acknowledgement was still to come
    while {
        let (client, server) = streams(&mut pair);
        client > before.0 || server > before.1
    } {}
    assert_eq!(pair.client.endpoint.stats().stream_handles, 0);
    assert_eq!(pair.server.endpoint.stats().stream_handles, 0);
}

#[test]
fn credit_of_abandoned_streams_comes_back() {
    let (mut server, client) = (server_config(), client_config());
    server.transport.receive_window = 200_000;
    server.transport.stream_receive_window = 100_000;
    server.core.initial_max_data = 200_000;
    let mut pair = Pair::with(server, client);
    for round in 0..60 {
        let stream = pair.open(Dir::Uni);
        pair.client.write(stream, noise(50_000), round % 2 == 0);
        let there = pair.server.incoming();
        match round % 6 {
            0 | 1 => pair.client.endpoint.release(stream),
            2 | 3 => {
                pair.server.read(there);
            }
            _ => {
                while pair.server.endpoint.buffered(there).unwrap() < 50_000 {
                    pair.server.poll();
                }
            }
        }
        if round % 5 == 0 {
            pair.client.endpoint.release(stream);
        }
        pair.server.endpoint.release(there);
        pair.client.endpoint.release(stream);
    }
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, noise(1_000_000), true);
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there).0.len(), 1_000_000);
}

#[test]
fn sessions_that_ended_leave_nothing() {
    let mut pair = Pair::new();
    for round in 0..20 {
        let session =
            pair.client.endpoint.request_session(pair.client_connection, request("/again")).unwrap();
        let there = pair.server.expect("SessionRequest", |x| match x {
            Event::SessionRequest { session, .. } => Some(*session),
            _ => None,
        });
        pair.server.endpoint.accept_session(there, AcceptOptions::default()).unwrap();
        pair.client.expect("SessionReady", |x| matches!(x, Event::SessionReady { .. }).then_some(()));
        let stream = pair.client.endpoint.open_stream(session, Dir::Bidi).unwrap();
        pair.client.write(stream, "unread", false);
        let incoming = pair.server.incoming();
        if round % 2 == 0 {
            pair.client.endpoint.close_session(session, 0, "").unwrap();
        } else {
            pair.server.endpoint.close_session(there, 1, "x").unwrap();
        }
        for side in [&mut pair.client, &mut pair.server] {
            side.expect("SessionClosed", |x| matches!(x, Event::SessionClosed { .. }).then_some(()));
        }
        pair.client.endpoint.release(stream);
        pair.server.endpoint.release(incoming);
    }
    // The CONNECT stream of the session that is left, and those of HTTP/3 and QPACK, three from each side
    while {
        let (client, server) = streams(&mut pair);
        client > 7 || server > 7
    } {}
    assert_eq!(pair.client.endpoint.stats().sessions, 1);
    assert_eq!(pair.server.endpoint.stats().sessions, 1);
}

/// Endpoints that have no stream for QPACK to open on the way.
///
/// The second request of a connection would fill a table. The first stream of a session opens what was kept
/// free for it before, since its ID is higher (RFC 9000 §2.1).
fn without_tables() -> Pair {
    let (mut server, mut client) = (server_config(), client_config());
    for config in [&mut server, &mut client] {
        config.core.qpack_max_table_capacity = 0;
    }
    let mut pair = Pair::with(server, client);
    let (before, _) = streams(&mut pair);
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, "first", true);
    let there = pair.server.incoming();
    let _ = pair.server.read_to_end(there);
    pair.client.endpoint.release(stream);
    pair.server.endpoint.release(there);
    while streams(&mut pair).0 != before {}
    pair
}

/// A session that the server has not answered, and a stream in it of which everything has arrived there.
fn early_stream(pair: &mut Pair) -> (u64, u64) {
    let (before, _) = streams(pair);
    let session = pair.client.endpoint.request_session(pair.client_connection, request("/early")).unwrap();
    let stream = pair.client.endpoint.open_stream(session, Dir::Uni).unwrap();
    // At once, so that header and end travel together
    pair.client.write(stream, "early", true);
    pair.client.expect("StreamOpened", |x| matches!(x, Event::StreamOpened { .. }).then_some(()));
    // With everything acknowledged the client forgets it; the CONNECT stream stays
    while streams(pair).0 != before + 1 {}
    let there = pair.server.expect("SessionRequest", |x| match x {
        Event::SessionRequest { session, .. } => Some(*session),
        _ => None,
    });
    (there, stream)
}

#[test]
fn whole_streams_wait_for_their_session() {
    let mut pair = without_tables();
    let before = streams(&mut pair);
    let (session, stream) = early_stream(&mut pair);
    pair.server.endpoint.accept_session(session, AcceptOptions::default()).unwrap();
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there).0, b"early");
    pair.client.endpoint.release(stream);
    pair.server.endpoint.release(there);
    // The CONNECT stream of the second session
    while streams(&mut pair) != (before.0 + 1, before.1 + 1) {}
}

#[test]
fn whole_streams_are_forgotten_with_their_request() {
    let mut pair = without_tables();
    let before = streams(&mut pair);
    let (session, stream) = early_stream(&mut pair);
    pair.server.endpoint.reject_session(session, 404, Vec::new()).unwrap();
    pair.client.expect("SessionRejected", |x| matches!(x, Event::SessionRejected { .. }).then_some(()));
    pair.client.endpoint.release(stream);
    while streams(&mut pair) != before {}
}

#[test]
fn connections_that_ended_leave_nothing() {
    let mut pair = Pair::new();
    for _ in 0..20 {
        let connection = pair.client.endpoint.connect(pair.server.address(), "localhost").unwrap();
        let session = pair.client.endpoint.request_session(connection, request("/")).unwrap();
        let there = pair.server.expect("SessionRequest", |x| match x {
            Event::SessionRequest { session, .. } => Some(*session),
            _ => None,
        });
        pair.server.endpoint.accept_session(there, AcceptOptions::default()).unwrap();
        pair.client.expect("SessionReady", |x| {
            matches!(x, Event::SessionReady { session: y, .. } if *y == session).then_some(())
        });
        pair.client.endpoint.close_connection(connection, 0x100, "").unwrap();
        for side in [&mut pair.client, &mut pair.server] {
            side.expect("ConnectionClosed", |x| matches!(x, Event::ConnectionClosed { .. }).then_some(()));
        }
    }
    while pair.client.endpoint.stats().connections > 1 || pair.server.endpoint.stats().connections > 1 {
        pair.client.poll();
    }
}

#[test]
fn garbage_does_no_harm() {
    let mut pair = Pair::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (index, piece) in noise(400_000).chunks(1000).enumerate() {
        let mut datagram = piece.to_vec();
        if index % 2 == 0 {
            // An Initial packet of version 1, as far as that can be seen
            datagram[..5].copy_from_slice(&[0xc0, 0, 0, 0, 1]);
            datagram.resize(1200, 0);
        }
        socket.send_to(&datagram, pair.server.address()).unwrap();
    }
    let stream = pair.open(Dir::Bidi);
    pair.client.write(stream, Bytes::from_static(b"still here"), true);
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there).0, b"still here");
}
