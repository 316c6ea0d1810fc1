"""How many connections a server takes, and how long it waits for what a client owes: what the peer sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conformance.peer.client import Peer
from conformance.peer.codepoints import H3, Quic
from conformance.peer.drafts import Draft
from conformance.peer.events import QuicPacket
from conformance.peer.options import ConnectFailed, PeerOptions
from conformance.peer.varint import varint

from .hostile import Server, closed_with, connected, serving
from .support import DEADLINE, Side, core


def test_connections_beyond_the_limit_are_refused() -> None:
    with serving(max_connections=1) as server, connected(server):
        with pytest.raises(ConnectFailed) as caught:
            Peer.connect(server.opener)
        assert caught.value.close is not None
        assert caught.value.close.error_code == Quic.CONNECTION_REFUSED
        assert server.stat("handshakes_refused") >= 1


def half_open(server: Server, count: int) -> list[Peer]:
    """Connections of which the first flight is sent, and nothing more."""
    peers = []
    for _ in range(count):
        peer = Peer(server.opener, draft=Draft.D16, options=PeerOptions())
        before = server.stat("connections_total"), server.stat("retries_sent")
        flights = iter([True])
        peer.quic.packet_filter = lambda data, _, flights=flights: [data] if next(flights, False) else []
        peer.link.run_until(lambda: True, 0.0)
        while (server.stat("connections_total"), server.stat("retries_sent")) == before:
            server.poll()
        peers.append(peer)
    return peers


def test_an_address_with_many_handshakes_has_to_prove_itself() -> None:
    """RFC 9000 §8.1.2: a client that is what it says gets in nevertheless."""
    with serving(max_handshakes_per_address=2, handshake_timeout=60.0) as server:
        peers = half_open(server, 2)
        try:
            assert server.stat("retries_sent") == 0
            with connected(server) as peer:
                retries = [
                    event
                    for event in peer.events
                    if isinstance(event, QuicPacket) and not event.sent and event.packet_type == "retry"
                ]
                assert len(retries) == 1
            assert server.stat("retries_sent") == 1
        finally:
            for half in peers:
                half.link.close()


def test_a_handshake_that_takes_too_long_is_dropped() -> None:
    with serving(handshake_timeout=0.05) as server:
        (peer,) = half_open(server, 1)
        try:
            while server.stat("connections"):
                server.poll()
        finally:
            peer.link.close()


def test_a_connection_that_is_given_up_at_once_is_forgotten() -> None:
    """CONNECTION_CLOSE may come in the first packet; no idle time-out would end it otherwise."""
    with serving(idle_timeout=0) as server:
        client = Side("client", bind=[("127.0.0.1", 0)], verify="none")
        try:
            for _ in range(50):
                connection = client.endpoint.connect(server.endpoint.local_addresses[0], "localhost")
                client.endpoint.close_connection(connection)
            while server.stat("connections_total") == 0 or server.stat("connections"):
                server.poll()
        finally:
            client.endpoint.close(timeout=0.2)
            assert client.endpoint.join(DEADLINE)


@contextmanager
def silent_from(server: Server, **options: Any) -> Iterator[Peer]:
    """A client that has finished the handshake, and sends what it is told to, but nothing by itself."""
    peer = Peer(server.opener, draft=Draft.D16, options=PeerOptions(**options))
    try:
        assert peer.wait(lambda: peer.quic.handshake_complete)
        yield peer
    finally:
        peer.link.close()


def test_a_client_that_sends_no_settings_is_not_waited_for() -> None:
    """RFC 9114 §6.2.1: they come first. It may have opened its control stream, or nothing at all."""
    for sent in (None, b"", b"\x04\x10\x01"):
        with serving(handshake_timeout=0.1, idle_timeout=0) as server:
            with silent_from(server, start_h3=False) as peer:
                if sent is not None:
                    peer.open_uni(varint(0) + sent)
                closed_with(peer, H3.NO_ERROR)
                assert peer.closed is not None and "SETTINGS took longer than 0.1 s" in peer.closed.reason
            assert server.events[core.CONNECTION_READY] == []


def test_a_client_that_asks_for_nothing_is_not_waited_for() -> None:
    """A stream without a whole field section is no request."""
    with serving(first_request_timeout=0.2, idle_timeout=0) as server:
        for part in (None, b"", b"\x01\x40"):
            with connected(server) as peer:
                if part is not None:
                    peer.open_bidi(part)
                closed_with(peer, H3.NO_ERROR)
                assert peer.closed is not None
                assert "the first request took longer than 0.2 s" in peer.closed.reason
                (_, _, source, _, _) = server.expect(core.CONNECTION_CLOSED)
                assert source == "timeout"


def test_after_a_session_there_is_time() -> None:
    """A later connection comes to its deadline, this one does not."""
    with serving(first_request_timeout=0.2, idle_timeout=0) as server, connected(server) as peer:
        session = server.establish(peer)
        with connected(server) as other:
            closed_with(other, H3.NO_ERROR)
        session.send_datagram(b"x")
        assert server.told(peer, core.DATAGRAMS), peer.closed


def test_a_request_for_something_else_counts() -> None:
    with serving(first_request_timeout=0.2, idle_timeout=0) as server, connected(server) as peer:
        fields = peer.connect_request_fields(replace={b":method": b"GET", b":protocol": None})
        request = peer.send_request(fields, end_stream=True)
        assert peer.wait(lambda: request.status == 404)
        with connected(server) as other:
            closed_with(other, H3.NO_ERROR)
        server.establish(peer)


def test_a_silent_peer_is_forgotten() -> None:
    """RFC 9000 §10.1: silently, by both sides."""
    with serving(idle_timeout=0.1) as server:
        with connected(server) as peer:
            server.establish(peer)
            (_, _, source, _, _) = server.expect(core.CONNECTION_CLOSED)
            assert source == "timeout"
            assert server.events[core.SESSION_CLOSED]
        while server.stat("connections"):
            server.poll()
        assert server.stat("sessions") == 0
