"""A server of the compiled core and raw clients that send it anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from conformance.peer.client import Peer
from conformance.peer.openers import UdpOpener
from conformance.peer.options import PeerOptions
from conformance.peer.session import Session

from .support import DEADLINE, Side, core


class Server(Side):
    """Its application takes what it is told to take, when it is told to."""

    def __init__(self, **config: Any) -> None:
        certificate, key = core.generate_self_signed("localhost")
        address = {"bind": [("127.0.0.1", 0)], "certificate": certificate, "private_key": key}
        super().__init__("server", **address, **config)
        host, port = self.endpoint.local_addresses[0]
        self.opener = UdpOpener(url=f"https://{host}:{port}/", quic={"insecure": True})

    def stat(self, name: str) -> int:
        value: int = self.endpoint.stats()[name]
        return value

    def told(self, peer: Peer, kind: int) -> bool:
        """Wait until its application is told of an event; the peer carries on meanwhile."""
        return self.until(peer, lambda: bool(self.events[kind]))

    def until(self, peer: Peer, done: Callable[[], bool]) -> bool:
        """Wait for something of this side, which nothing on the wire may tell the peer of."""
        end = time.monotonic() + DEADLINE

        def look() -> bool:
            self.poll()
            return done()

        while not (held := peer.wait(look, 0.01)) and time.monotonic() < end and peer.closed is None:
            pass
        return held

    def establish(self, peer: Peer, path: str = "/echo") -> Session:
        """A session that is accepted."""
        session = peer.establish(path, wait=False)
        assert self.told(peer, core.SESSION_REQUEST), peer.closed
        self.endpoint.accept_session(self.events[core.SESSION_REQUEST].pop(0)[1])
        assert peer.wait(lambda: session.established)
        return session


@contextmanager
def serving(**config: Any) -> Iterator[Server]:
    """A server whose thread ends with the block."""
    server = Server(**config)
    try:
        yield server
    finally:
        server.endpoint.close(timeout=0.2)
        assert server.endpoint.join(DEADLINE)


@contextmanager
def connected(server: Server, **options: Any) -> Iterator[Peer]:
    """A raw connection to it."""
    with Peer.connect(server.opener, options=PeerOptions(deadline=DEADLINE, **options)) as peer:
        yield peer


def closed_with(peer: Peer, code: int) -> None:
    """The server closes the connection with this code."""
    assert peer.wait(lambda: peer.closed is not None)
    assert peer.closed is not None
    assert (peer.closed.by, peer.closed.error_code) == ("peer", code), peer.closed
