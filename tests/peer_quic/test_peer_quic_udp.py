"""The same peers over UDP on the loopback interface."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from conformance.peer import events as wire
from conformance.peer.quic import QuicPeer, ServerHost, UdpLink, frames, serve_forever
from conformance.peer.quic.options import Address
from tests.peer_quic.support import client_options, received, server_options, stream_bytes

DEADLINE = 20.0


def accept(peer: QuicPeer) -> wire.EventHandler:
    def echo(event: wire.WireEvent) -> None:
        if isinstance(event, wire.StreamData) and not event.sent and event.stream_id % 4 == 0:
            peer.send_stream(event.stream_id, event.data, end_stream=event.end_stream)
        elif isinstance(event, wire.DatagramFrame) and not event.sent:
            peer.send_datagram(event.data)
        elif isinstance(event, wire.StreamReset) and not event.sent:
            code = event.error_code
            peer.send_datagram(b"reset %d at %d" % (code, event.reliable_size or 0))

    return echo


class Served:
    """An echo server in a thread."""

    def __init__(self, address: Address) -> None:
        self.host = ServerHost(server_options(), accept)
        self._stop = threading.Event()
        self._bound = threading.Event()
        self.address: Address = ()
        arguments = {"address": address, "ready": self._ready}
        self._thread = threading.Thread(target=serve_forever, args=(self.host, self._stop), kwargs=arguments)
        self._thread.start()
        assert self._bound.wait(DEADLINE)

    def _ready(self, address: Address) -> None:
        self.address = address
        self._bound.set()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served((request.param, 0))
    yield served
    served.stop()


class Client:
    """A client over UDP."""

    def __init__(self, address: Address) -> None:
        self.seen: list[wire.WireEvent] = []
        self.peer = QuicPeer(client_options(), self.seen.append)
        self.link = UdpLink.client(self.peer, address)
        self.peer.connect(address, self.link.now())

    def stream(self, stream_id: int) -> bytes:
        return stream_bytes(self.seen, stream_id)


def test_streams_datagrams_and_injection(server: Served) -> None:
    client = Client(server.address[:2])
    run = client.link.run_until
    assert run(lambda: client.peer.handshake_complete, DEADLINE), client.peer.closed
    data = bytes(range(256)) * 2000
    client.peer.send_stream(0, data, end_stream=True)
    client.peer.send_datagram(b"gram")
    injection = client.peer.inject_frames(frames.stream(4, b"raw", fin=True))
    assert run(lambda: client.stream(0) == data and client.stream(4) == b"raw" and injection.acked, DEADLINE)
    assert run(lambda: bool(received(client.seen, wire.DatagramFrame)), DEADLINE)
    client.peer.send_stream(2, b"header")
    client.peer.reset_stream_at(2, 77, 6)
    assert run(lambda: received(client.seen, wire.DatagramFrame)[-1].data == b"reset 77 at 6", DEADLINE)
    assert run(client.peer.acked, DEADLINE)
    assert 0 < client.peer.rtt < DEADLINE
    client.peer.close(0x100)
    client.link.close()
    assert not client.link.errors


def test_a_client_goes_on_from_another_port(server: Served) -> None:
    client = Client(server.address[:2])
    run = client.link.run_until
    assert run(lambda: client.peer.handshake_complete and client.peer.acked(), DEADLINE)
    before = client.link.address
    client.link.rebind()
    assert client.link.address != before
    client.peer.send_stream(0, b"elsewhere", end_stream=True)
    assert run(lambda: client.stream(0) == b"elsewhere", DEADLINE)
    assert len(server.host.connections) == 1
    client.peer.close(0)
    client.link.close()


def test_a_port_where_nobody_listens_is_noticed() -> None:
    unused = UdpLink.server(ServerHost(server_options(), accept), ("127.0.0.1", 0))
    address = unused.address
    unused.close()
    client = Client(address)
    assert client.link.run_until(lambda: client.link.refused, DEADLINE)
    error = client.link.errors[0]
    assert error.refused and error.address == address and error.text
    client.link.close()


def test_datagrams_that_cannot_be_sent_are_reported() -> None:
    served = Served(("127.0.0.1", 0))
    client = Client(served.address)
    assert client.link.run_until(lambda: client.peer.handshake_complete, DEADLINE)
    client.peer.packet_filter = lambda _data, _address: [bytes(70_000)]
    client.peer.send_ping()
    client.link.run_until(lambda: bool(client.link.errors), DEADLINE)
    assert client.link.errors and not client.link.refused
    client.peer.packet_filter = None
    client.peer.close(0)
    client.link.close()
    served.stop()


def test_only_a_client_can_be_bound_anew() -> None:
    link = UdpLink.server(ServerHost(server_options(), accept), ("127.0.0.1", 0))
    with pytest.raises(ValueError, match="client"):
        link.rebind()
    assert not link.run_until(lambda: False, 0.0)
    link.close()


def test_an_address_that_cannot_be_bound_raises() -> None:
    with pytest.raises(OSError, match="assign"):
        UdpLink.server(ServerHost(server_options(), accept), ("192.0.2.1", 0))
