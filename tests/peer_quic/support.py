"""A client and a server host on a network in memory, with everything that either side saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from conformance.peer import events as wire
from conformance.peer.quic import MemoryNetwork, QuicOptions, QuicPeer, ServerHost, certificates
from conformance.peer.quic.memory import Fate
from conformance.peer.quic.options import Address

SERVER: Address = ("192.0.2.1", 443)
CLIENT: Address = ("192.0.2.2", 50000)
E = TypeVar("E", bound=wire.WireEvent)


def server_options(**changes: Any) -> QuicOptions:
    """Server options with the cached certificate."""
    certificate = certificates.cached()
    options: dict[str, Any] = {
        "is_client": False,
        "certificate": certificate.certificate,
        "private_key": certificate.private_key,
    }
    return QuicOptions(**(options | changes))


def client_options(**changes: Any) -> QuicOptions:
    """Client options that trust the cached certificate."""
    options: dict[str, Any] = {
        "is_client": True,
        "server_name": "localhost",
        "ca_data": certificates.cached().pem,
    }
    return QuicOptions(**(options | changes))


class Pair:
    """One client connection to one server host; ``seen`` and ``served`` hold the events of each side."""

    def __init__(
        self,
        *,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        host: dict[str, Any] | None = None,
        fate: Fate | None = None,
        echo: bool = False,
    ) -> None:
        self.network = MemoryNetwork(fate=fate)
        self.seen: list[wire.WireEvent] = []
        self.served: list[wire.WireEvent] = []
        self.accepted: list[QuicPeer] = []
        self.on_server_event: Callable[[QuicPeer, wire.WireEvent], None] | None = _echo if echo else None
        self.host = ServerHost(server_options(**(server or {})), self._accept, **(host or {}))
        self.client = QuicPeer(client_options(**(client or {})), self.seen.append)
        self.network.attach(self.host, SERVER)
        self.network.attach(self.client, CLIENT)

    def _accept(self, peer: QuicPeer) -> wire.EventHandler:
        self.accepted.append(peer)

        def handle(event: wire.WireEvent) -> None:
            self.served.append(event)
            if self.on_server_event is not None:
                self.on_server_event(peer, event)

        return handle

    @property
    def server(self) -> QuicPeer:
        """The newest connection on the server's side."""
        return self.accepted[-1]

    def run(self, done: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Run the network."""
        return self.network.run_until(done, timeout)

    def settle(self, seconds: float = 1.0) -> None:
        """Let virtual time pass."""
        self.network.run_until(lambda: False, seconds)

    def connect(self) -> Pair:
        """Complete the handshake on both sides."""
        self.client.connect(SERVER, self.network.now())
        assert self.run(
            lambda: (
                self.client.handshake_complete
                and bool(self.accepted)
                and self.server.handshake_complete
                and self.client.acked()
            )
        ), (self.client.closed, self.accepted and self.server.closed)
        return self


def _echo(peer: QuicPeer, event: wire.WireEvent) -> None:
    if isinstance(event, wire.StreamData) and not event.sent and event.stream_id % 4 == 0:
        peer.send_stream(event.stream_id, event.data, end_stream=event.end_stream)
    elif isinstance(event, wire.DatagramFrame) and not event.sent:
        peer.send_datagram(event.data)


def received(events: Sequence[wire.WireEvent], kind: type[E]) -> list[E]:
    """Return the received events of a kind."""
    return [event for event in events if isinstance(event, kind) and not event.sent]


def sent(events: Sequence[wire.WireEvent], kind: type[E]) -> list[E]:
    """Return the events of a kind about what this side sent."""
    return [event for event in events if isinstance(event, kind) and event.sent]


def stream_bytes(events: Sequence[wire.WireEvent], stream_id: int) -> bytes:
    """Return what arrived on a stream."""
    return b"".join(event.data for event in received(events, wire.StreamData) if event.stream_id == stream_id)


def frame_names(events: Sequence[wire.WireEvent], *, are_sent: bool) -> list[str]:
    """Return the names of the QUIC frames of one direction."""
    return [
        event.frame_name for event in events if isinstance(event, wire.QuicFrame) and event.sent is are_sent
    ]
