//! Sessions, streams and datagrams between two endpoints over loopback.

mod support;

use std::collections::VecDeque;

use bytes::Bytes;
use support::{Pair, Side, client_config, noise, request, server_config};
use wt_reactor::{
    AcceptOptions, Answer, ConnectRequest, ConnectionEndSource, Dir, Draft, Event, ReadError,
    SessionEndSource,
};

#[test]
fn bidirectional_echo_of_all_sizes() {
    let mut pair = Pair::new();
    for size in [0, 1, 1000, 70_000, 3_000_000] {
        let data = noise(size);
        let stream = pair.open(Dir::Bidi);
        let mut pieces: VecDeque<_> = data.chunks(60_000).map(Bytes::copy_from_slice).collect();
        pieces.push_back(Bytes::new());
        let mut there = None;
        // Both sides in turn, as neither has room for everything
        while !there.is_some_and(|x| pair.server.read(x)) {
            while let Some(piece) = pieces.front() {
                if !pair.client.endpoint.write(stream, piece.clone(), pieces.len() == 1).unwrap() {
                    break;
                }
                pieces.pop_front();
            }
            pair.client.poll();
            pair.server.poll();
            pair.client.events.clear();
            there = there.or(pair.server.events.drain(..).find_map(|x| match x {
                Event::StreamIncoming { stream, .. } => Some(stream),
                _ => None,
            }));
        }
        let there = there.unwrap();
        let (received, end) = pair.server.received.remove(&there).unwrap();
        assert_eq!(end, Some(Ok(())));
        pair.server.write(there, received, true);
        let (echo, end) = pair.client.read_to_end(stream);
        assert_eq!(end, Ok(()));
        assert!(echo == data, "{size} bytes came back differently");
    }
}

#[test]
fn unidirectional_both_ways() {
    let mut pair = Pair::new();
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, "there", true);
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there), (b"there".to_vec(), Ok(())));
    let back = pair.server.endpoint.open_stream(pair.server_session, Dir::Uni).unwrap();
    pair.server.write(back, "back", true);
    let back = pair.client.incoming();
    assert_eq!(pair.client.read_to_end(back), (b"back".to_vec(), Ok(())));
}

#[test]
fn datagrams_both_ways() {
    let mut pair = Pair::new();
    let size = pair.client.endpoint.max_datagram_size(pair.client_session).unwrap();
    assert!(size > 1000, "{size}");
    let data = noise(size);
    assert_eq!(pair.client.endpoint.send_datagram(pair.client_session, &data), Ok(true));
    assert!(pair.client.endpoint.send_datagram(pair.client_session, &noise(size + 1)).is_err());
    let payloads = |x: &Event| match x {
        Event::Datagrams { payloads, .. } => Some(payloads.concat()),
        _ => None,
    };
    assert_eq!(pair.server.expect("Datagrams", payloads), data);
    assert_eq!(pair.server.endpoint.send_datagram(pair.server_session, b""), Ok(true));
    assert_eq!(pair.client.expect("Datagrams", payloads), b"");
}

#[test]
fn reset_keeps_the_header_reliable_in_both_directions() {
    let mut pair = Pair::new();
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, "abandoned", false);
    pair.client.endpoint.reset(stream, 7).unwrap();
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there).1, Err(ReadError::Reset(Some(7))));

    let stream = pair.server.endpoint.open_stream(pair.server_session, Dir::Bidi).unwrap();
    pair.server.endpoint.reset(stream, u32::MAX).unwrap();
    let there = pair.client.incoming();
    assert_eq!(pair.client.read_to_end(there).1, Err(ReadError::Reset(Some(u32::MAX))));

    let stats = pair.client.stats(pair.client_connection);
    assert_eq!((stats.frame_tx.reset_stream_at, stats.frame_rx.reset_stream_at), (1, 1));
    assert_eq!((stats.frame_tx.reset_stream, stats.frame_rx.reset_stream), (0, 0));
}

#[test]
fn stop_reaches_the_writer() {
    let mut pair = Pair::new();
    let stream = pair.open(Dir::Bidi);
    pair.client.write(stream, "x", false);
    let there = pair.server.incoming();
    pair.server.endpoint.stop(there, 9).unwrap();
    let code = pair.client.expect("StreamStopped", |x| match x {
        Event::StreamStopped { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(code, Some(9));
    let failure = pair.client.endpoint.write(stream, Bytes::from_static(b"y"), false).unwrap_err();
    assert_eq!(failure, wt_reactor::Failure::Stopped(Some(9)));
    // The other direction is not affected
    pair.server.write(there, "z", true);
    assert_eq!(pair.client.read_to_end(stream), (b"z".to_vec(), Ok(())));
}

#[test]
fn finish_is_announced_to_those_who_watch() {
    let mut pair = Pair::new();
    let stream = pair.open(Dir::Uni);
    assert_eq!(pair.client.endpoint.watch_finished(stream), Ok(false));
    pair.client.write(stream, "x", true);
    pair.client.expect("StreamFinished", |x| matches!(x, Event::StreamFinished { .. }).then_some(()));
}

#[test]
fn request_and_answer_carry_fields_and_protocol() {
    let (mut server, mut client) = (Side::new(server_config()), Side::new(client_config()));
    let connection = client.endpoint.connect(server.address(), "localhost").unwrap();
    let wanted = ConnectRequest {
        origin: Some("https://example.org".to_owned()),
        protocols: vec!["a".to_owned(), "b".to_owned()],
        headers: vec![("x-test".into(), "\u{e9}".to_owned().into())],
        ..request("/path?query")
    };
    client.endpoint.request_session(connection, wanted).unwrap();
    let (session, got) = server.expect("SessionRequest", |x| match x {
        Event::SessionRequest { session, request, .. } => Some((*session, request.clone())),
        _ => None,
    });
    assert_eq!((&*got.path, &*got.authority), ("/path?query", "localhost"));
    assert_eq!(got.origin.as_deref(), Some("https://example.org"));
    assert_eq!(got.protocols, ["a", "b"]);
    assert!(got.headers.contains(&("x-test".into(), "\u{e9}".to_owned().into())));
    assert_eq!(got.draft, Draft::D16);
    let options = AcceptOptions { protocol: Some("b".to_owned()), ..Default::default() };
    server.endpoint.accept_session(session, options).unwrap();
    let info = client.expect("SessionReady", |x| match x {
        Event::SessionReady { info, .. } => Some(info.clone()),
        _ => None,
    });
    assert_eq!((info.status, info.protocol.as_deref(), info.id), (200, Some("b"), 0));
}

#[test]
fn rejection_shows_status_and_leaves_the_connection() {
    let mut pair = Pair::new();
    pair.client.endpoint.request_session(pair.client_connection, request("/none")).unwrap();
    let session = pair.server.expect("SessionRequest", |x| match x {
        Event::SessionRequest { session, .. } => Some(*session),
        _ => None,
    });
    pair.server.endpoint.reject_session(session, 403, vec![("x-why".into(), "no".into())]).unwrap();
    let (status, headers) = pair.client.expect("SessionRejected", |x| match x {
        Event::SessionRejected { status, headers, .. } => Some((*status, headers.clone())),
        _ => None,
    });
    assert_eq!(status, 403);
    assert!(headers.contains(&("x-why".into(), "no".into())));
    let stream = pair.open(Dir::Uni);
    pair.client.write(stream, "still", true);
    let there = pair.server.incoming();
    assert_eq!(pair.server.read_to_end(there).0, b"still");
}

#[test]
fn close_ends_session_and_streams_in_this_order() {
    let mut pair = Pair::new();
    let stream = pair.open(Dir::Bidi);
    pair.client.write(stream, "x", false);
    let there = pair.server.incoming();
    pair.client.endpoint.close_session(pair.client_session, 0xdead_beef, "gone").unwrap();
    let end = pair.server.expect("SessionClosed", |x| match x {
        Event::SessionClosed { code, reason, source, .. } => Some((*code, reason.clone(), *source)),
        _ => None,
    });
    assert_eq!(end, (0xdead_beef, "gone".to_owned(), SessionEndSource::Peer));
    let stopped = pair
        .server
        .events
        .iter()
        .any(|x| matches!(x, Event::StreamStopped { stream, .. } if *stream == there));
    assert!(stopped, "the stream ended before");
    let (data, end) = pair.server.read_to_end(there);
    assert!(matches!(end, Err(ReadError::Reset(_))) && (data.is_empty() || data == b"x"));
    let source = pair.client.expect("SessionClosed", |x| match x {
        Event::SessionClosed { source, .. } => Some(*source),
        _ => None,
    });
    assert_eq!(source, SessionEndSource::Local);
}

#[test]
fn closing_the_endpoint_tells_the_peer_of_its_sessions_first() {
    let mut pair = Pair::new();
    pair.client.endpoint.close(0x100, "", support::DEADLINE);
    pair.client.expect("EndpointClosed", |x| match x {
        Event::EndpointClosed { error: None } => Some(()),
        _ => None,
    });
    assert!(pair.client.endpoint.join(Some(support::DEADLINE)));
    let source = pair.server.expect("SessionClosed", |x| match x {
        Event::SessionClosed { source, .. } => Some(*source),
        _ => None,
    });
    assert_eq!(source, SessionEndSource::Peer);
    let end = pair.server.expect("ConnectionClosed", |x| match x {
        Event::ConnectionClosed { end, .. } => Some(end.clone()),
        _ => None,
    });
    assert_eq!((end.source, end.code), (ConnectionEndSource::Application, 0x100));
    assert_eq!(pair.server.endpoint.stats().sessions, 0);
}

#[test]
fn exporter_agrees_and_depends_on_the_session() {
    let mut pair = Pair::new();
    let export = |side: &mut Side, session, context: &[u8]| {
        let token = side.endpoint.export_keying_material(session, b"label", context, 32);
        match side.answer(token) {
            Answer::KeyingMaterial(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    };
    let ours = export(&mut pair.client, pair.client_session, b"context");
    assert_eq!(ours, export(&mut pair.server, pair.server_session, b"context"));
    assert_ne!(ours, export(&mut pair.server, pair.server_session, b"other"));
    assert_eq!(ours.len(), 32);
}

#[test]
fn each_draft_alone() {
    for draft in Draft::ALL {
        let mut server = server_config();
        server.core.drafts = vec![draft];
        let mut pair = Pair::with(server, client_config());
        let ready = |x: &Event| match x {
            Event::ConnectionReady { info, .. } => Some(info.draft),
            _ => None,
        };
        assert_eq!(pair.client.expect("ConnectionReady", ready), Some(draft));
        let stream = pair.open(Dir::Bidi);
        pair.client.write(stream, "x", true);
        let there = pair.server.incoming();
        assert_eq!(pair.server.read_to_end(there), (b"x".to_vec(), Ok(())));
        pair.server.write(there, "y", true);
        assert_eq!(pair.client.read_to_end(stream), (b"y".to_vec(), Ok(())));
    }
}
