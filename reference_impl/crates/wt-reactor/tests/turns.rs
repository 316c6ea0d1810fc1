//! Who does the work: the I/O thread, or the application's where that would only wait for it.
#![allow(clippy::unwrap_used)]

mod support;

use std::{net::UdpSocket, thread, time::Instant};

use support::{DEADLINE, Pair, Side, noise};
use wt_reactor::{Dir, Event, Failure};

fn rounds(side: &Side) -> u64 {
    side.endpoint.stats().application_rounds
}

/// A datagram there and back, waited for with nothing else to do.
fn ping(pair: &mut Pair) {
    let payload = |x: &Event| match x {
        Event::Datagrams { payloads, .. } => Some(payloads.concat()),
        _ => None,
    };
    pair.client.endpoint.send_datagram(pair.client_session, b"ping").unwrap();
    assert_eq!(pair.server.expect("Datagrams", payload), b"ping");
    pair.server.endpoint.send_datagram(pair.server_session, b"pong").unwrap();
    assert_eq!(pair.client.expect("Datagrams", payload), b"pong");
}

/// Until the applications read the sockets: an answer is one round of theirs, reading it another.
fn until_lent(pair: &mut Pair) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let before = rounds(&pair.server);
        (0..20).for_each(|_| ping(pair));
        if rounds(&pair.server) - before >= 2 * 20 {
            return;
        }
        assert!(Instant::now() < deadline, "{} rounds", rounds(&pair.server) - before);
    }
}

#[test]
fn an_application_that_answers_reads_its_sockets() {
    let mut pair = Pair::new();
    until_lent(&mut pair);
}

/// It has borrowed the sockets and turns to other things: the I/O thread takes them back, else the writer would
/// never hear that all has arrived.
#[test]
fn an_application_that_has_other_things_to_do_loses_the_sockets() {
    let mut pair = Pair::new();
    until_lent(&mut pair);
    let stream = pair.open(Dir::Uni);
    pair.client.endpoint.watch_finished(stream).unwrap();
    pair.client.write(stream, "not read", true);
    pair.client.expect("StreamFinished", |x| matches!(x, Event::StreamFinished { .. }).then_some(()));
}

#[test]
fn much_data_is_not_the_applications_to_carry() {
    let mut pair = Pair::new();
    until_lent(&mut pair);
    let stream = pair.open(Dir::Uni);
    let data = noise(4 << 20);
    let (client, server) = (&mut pair.client, &mut pair.server);
    let received = thread::scope(|scope| {
        scope.spawn(|| {
            data.chunks(1 << 16).for_each(|x| client.write(stream, x.to_vec(), false));
            client.write(stream, "", true);
        });
        let there = server.incoming();
        server.read_to_end(there)
    });
    assert_eq!(received, (data, Ok(())));
    until_lent(&mut pair);
}

#[test]
fn a_loan_ends_with_the_endpoint() {
    let mut pair = Pair::new();
    until_lent(&mut pair);
    pair.server.endpoint.close(0x100, "over", DEADLINE);
    assert!(pair.server.endpoint.join(Some(DEADLINE)));
    pair.client.expect("ConnectionClosed", |x| matches!(x, Event::ConnectionClosed { .. }).then_some(()));
    assert_eq!(pair.server.endpoint.stop_accepting(), Err(Failure::Closed));
    drop(UdpSocket::bind(pair.server.address()).unwrap());
}
