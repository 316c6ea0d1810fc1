//! Backpressure, bounded queues, admission and time-outs.

mod support;

use std::time::Duration;

use bytes::Bytes;
use support::{Pair, Side, client_config, noise, request, server_config};
use wt_reactor::{ConnectionEndSource, Dir, Event};

/// Writes until there is no room. Returns the number of bytes taken.
fn fill(pair: &mut Pair, stream: u64, data: &Bytes) -> usize {
    let mut taken = 0;
    loop {
        while pair.client.endpoint.write(stream, data.slice(taken % data.len()..), false).unwrap() {
            taken += data.len() - taken % data.len();
        }
        // The I/O thread may have moved everything on, as far as the peer allows
        pair.client.poll();
        let index = pair.client.events.iter().position(|x| matches!(x, Event::Writable { .. }));
        if index.and_then(|x| pair.client.events.remove(x)).is_none() {
            std::thread::yield_now();
            let stats = pair.client.stats(pair.client_connection);
            if stats.frame_tx.stream_data_blocked + stats.frame_tx.data_blocked > 0 {
                return taken;
            }
        }
    }
}

#[test]
fn a_reader_that_does_not_read_stops_the_writer() {
    let (mut server, mut client) = (server_config(), client_config());
    server.transport.stream_receive_window = 100_000;
    server.limits.stream_read_buffer = 100_000;
    client.limits.stream_write_buffer = 100_000;
    let mut pair = Pair::with(server, client);
    let stream = pair.open(Dir::Uni);
    let data = Bytes::from(noise(40_000));
    let taken = fill(&mut pair, stream, &data);
    // Twice the peer's buffer, ours, and the last write, which is taken whole
    assert!(taken <= 400_000, "{taken} bytes were taken");
    let there = pair.server.incoming();
    assert!(pair.server.endpoint.buffered(there).unwrap() <= 100_000);
    pair.client.endpoint.write(stream, Bytes::new(), true).unwrap();
    let (received, end) = pair.server.read_to_end(there);
    assert_eq!((received.len(), end), (taken, Ok(())));
    assert!(received.chunks(data.len()).all(|x| x == data));
}

#[test]
fn an_unread_stream_does_not_stop_another() {
    let (mut server, client) = (server_config(), client_config());
    server.transport.stream_receive_window = 100_000;
    server.limits.stream_read_buffer = 50_000;
    let mut pair = Pair::with(server, client);
    let unread = pair.open(Dir::Uni);
    let data = Bytes::from(noise(40_000));
    fill(&mut pair, unread, &data);
    let _ = pair.server.incoming();
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, noise(300_000), true);
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there).0.len(), 300_000);
}

#[test]
fn queues_of_one_slot_lose_nothing() {
    let (mut server, mut client) = (server_config(), client_config());
    for config in [&mut server, &mut client] {
        config.limits.event_queue = 1;
        config.limits.command_queue = 1;
    }
    let mut pair = Pair::with(server, client);
    let data = noise(200_000);
    for _ in 0..3 {
        let stream = pair.open(Dir::Bidi);
        pair.client.write(stream, data.clone(), true);
        let there = pair.server.incoming();
        let (received, end) = pair.server.read_to_end(there);
        assert!(end.is_ok() && received == data);
        pair.server.write(there, received, true);
        assert!(pair.client.read_to_end(stream).0 == data);
    }
}

#[test]
fn small_session_window_still_moves_everything() {
    let (mut server, client) = (server_config(), client_config());
    server.core.initial_max_data = 1000;
    server.core.initial_max_streams_uni = 1;
    let mut pair = Pair::with(server, client);
    for _ in 0..3 {
        let stream = pair.open(Dir::Uni);
        pair.client.write(stream, noise(20_000), true);
        let there = pair.server.incoming();
        assert!(pair.server.read_to_end(there).0 == noise(20_000));
    }
}

#[test]
fn streams_beyond_the_limit_of_quic_wait_their_turn() {
    let (mut server, client) = (server_config(), client_config());
    server.transport.max_uni_streams = 4;
    let mut pair = Pair::with(server, client);
    let streams: Vec<_> = (0..10).map(|_| pair.open(Dir::Uni)).collect();
    for (index, stream) in streams.iter().enumerate() {
        pair.client.write(*stream, vec![index as u8], true);
    }
    let mut received: Vec<u8> = (0..10)
        .flat_map(|_| {
            let there = pair.server.incoming();
            pair.server.read_to_end(there).0
        })
        .collect();
    received.sort_unstable();
    assert_eq!(received, (0..10).collect::<Vec<u8>>());
}

#[test]
fn datagrams_that_nobody_fetches_are_dropped() {
    let (mut server, client) = (server_config(), client_config());
    server.limits.max_datagrams_queued = 3;
    let mut pair = Pair::with(server, client);
    for _ in 0..10 {
        assert_eq!(pair.client.endpoint.send_datagram(pair.client_session, b"x"), Ok(true));
    }
    // Arrives after them
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, "fence", true);
    while pair.server.endpoint.stats().datagrams_dropped == 0 {
        std::thread::yield_now();
    }
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there).0, b"fence");
    let received: usize = pair
        .server
        .events
        .iter()
        .map(|x| if let Event::Datagrams { payloads, .. } = x { payloads.len() } else { 0 })
        .sum();
    assert!(received >= 3);
}

#[test]
fn load_demands_retry() {
    let mut server = server_config();
    server.limits.max_handshakes_per_address = 0;
    let pair = Pair::with(server, client_config());
    let stats = pair.server.endpoint.stats();
    assert_eq!((stats.retries_sent, stats.connections_total, stats.handshakes_refused), (1, 1, 0));
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let mut server = server_config();
    server.limits.max_connections = 1;
    let mut pair = Pair::with(server, client_config());
    let connection = pair.client.endpoint.connect(pair.server.address(), "localhost").unwrap();
    let source = pair.client.expect("ConnectionClosed", |x| match x {
        Event::ConnectionClosed { connection: y, end } if *y == connection => Some(end.source),
        _ => None,
    });
    assert_eq!(source, ConnectionEndSource::Refused);
    assert_eq!(pair.server.endpoint.stats().handshakes_refused, 1);
}

#[test]
fn a_peer_that_never_answers_times_out() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = client_config();
    config.transport.handshake_timeout = Duration::from_millis(20);
    let mut client = Side::new(config);
    let connection = client.endpoint.connect(silent.local_addr().unwrap(), "localhost").unwrap();
    let session = client.endpoint.request_session(connection, request("/")).unwrap();
    client.expect("SessionRejected", |x| {
        matches!(x, Event::SessionRejected { session: y, status: 0, .. } if *y == session).then_some(())
    });
    let source = client.expect("ConnectionClosed", |x| match x {
        Event::ConnectionClosed { end, .. } => Some(end.source),
        _ => None,
    });
    assert_eq!(source, ConnectionEndSource::Timeout);
}

#[test]
fn a_peer_that_falls_silent_times_out() {
    let mut client = client_config();
    client.transport.idle_timeout = Some(Duration::from_millis(50));
    let mut pair = Pair::with(server_config(), client);
    let source = pair.server.expect("ConnectionClosed", |x| match x {
        Event::ConnectionClosed { end, .. } => Some(end.source),
        _ => None,
    });
    assert_eq!(source, ConnectionEndSource::Timeout);
    pair.server.expect("SessionClosed", |x| matches!(x, Event::SessionClosed { .. }).then_some(()));
}

#[test]
fn an_untrusted_certificate_is_a_tls_error() {
    let mut server = Side::new(server_config());
    let mut config = client_config();
    config.tls.verify = wt_reactor::Verify::Required;
    config.tls.ca = server.endpoint.config().tls.certificate.clone();
    let mut client = Side::new(config.clone());
    client.endpoint.connect(server.address(), "wrong.example").unwrap();
    let end = client.expect("ConnectionClosed", |x| match x {
        Event::ConnectionClosed { end, .. } => Some(end.clone()),
        _ => None,
    });
    assert_eq!(end.source, ConnectionEndSource::Tls, "{end:?}");
    // The right name and, alternatively, the right hash
    client.endpoint.connect(server.address(), "localhost").unwrap();
    client.expect("ConnectionReady", |x| matches!(x, Event::ConnectionReady { .. }).then_some(()));
    let pem = server.endpoint.config().tls.certificate.clone().unwrap();
    config.tls.ca = None;
    config.tls.certificate_hashes = vec![wt_reactor::certificate_hash(&pem).unwrap()];
    let mut client = Side::new(config);
    client.endpoint.connect(server.address(), "wrong.example").unwrap();
    client.expect("ConnectionReady", |x| matches!(x, Event::ConnectionReady { .. }).then_some(()));
    server.poll();
}
