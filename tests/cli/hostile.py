"""Servers that are no WebTransport servers, each wrong in its own way, served by a thread of the test."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from threading import Event, Thread

from conformance.peer.drafts import DRAFTS
from conformance.peer.events import EventHandler, StreamData, WireEvent
from conformance.peer.model import Behaviour, ModelServer
from conformance.peer.quic import Host, QuicOptions, QuicPeer, ServerHost, UdpLink
from conformance.peer.quic.certificates import cached
from conformance.peer.settings import Entries

# Neither a QUIC packet nor a reason to answer: the fixed bit (RFC 9000 §17.2) is not set.
GARBAGE = bytes(range(64)) * 8


@contextlib.contextmanager
def served(host: Host, address: str = "127.0.0.1") -> Iterator[int]:
    """Serve a host on a free UDP port while the block runs."""
    link = UdpLink.server(host, (address, 0))
    stop = Event()
    thread = Thread(target=link.serve, args=(stop,), name="hostile")
    thread.start()
    try:
        yield int(link.address[1])
    finally:
        stop.set()
        thread.join()
        link.close()


@contextlib.contextmanager
def bound(answer: bytes | None) -> Iterator[int]:
    """Bind a UDP port that answers each datagram with these bytes, None for nothing at all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(0.05)
        stop = Event()

        def work() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    _, client = opened.recvfrom(2048)
                    if answer is not None:
                        opened.sendto(answer, client)

        thread = Thread(target=work, name="bound")
        thread.start()
        try:
            yield opened.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def _quic(react: Callable[[QuicPeer, WireEvent], None]) -> ServerHost:
    def accept(peer: QuicPeer) -> EventHandler:
        return lambda event: react(peer, event)

    certificate = cached()
    options = QuicOptions(
        is_client=False, certificate=certificate.certificate, private_key=certificate.private_key
    )
    return ServerHost(options, accept)


def stalling() -> Host:
    """Complete the handshake, then say nothing on HTTP/3's level."""
    return _quic(lambda peer, event: None)


def babbling() -> Host:
    """Answer every stream with garbage, on a stream of its own, too."""

    def react(peer: QuicPeer, event: WireEvent) -> None:
        if isinstance(event, StreamData) and not event.sent and peer.stream_credit(unidirectional=True):
            peer.send_stream(peer.next_stream_id(unidirectional=True), GARBAGE)
            if event.stream_id % 4 == 0:
                peer.send_stream(event.stream_id, GARBAGE)

    return _quic(react)


class _Plain(Behaviour):
    """A server of HTTP/3 that has never heard of WebTransport."""

    def settings(self) -> Entries:
        """Return SETTINGS with a limit for field sections only."""
        return ((0x06, 16384),)


def without_webtransport() -> Host:
    """Speak HTTP/3 without any setting of WebTransport."""
    return ModelServer(_Plain(DRAFTS))
