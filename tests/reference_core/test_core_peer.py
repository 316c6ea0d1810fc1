"""The compiled core against a peer that does what no client of ours would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from conformance.peer.client import Peer
from conformance.peer.codepoints import WT, Setting
from conformance.peer.openers import UdpOpener
from conformance.peer.options import PeerOptions
from conformance.peer.session import Session
from conformance.peer.wtheaders import uni_header

from .support import DEADLINE, Side, core


def seen(server: Side, peer: Peer, kind: int) -> bool:
    """Whether the server's application is told; the peer carries on meanwhile."""

    def look() -> bool:
        server.poll()
        return bool(server.events[kind])

    return peer.wait(look) and bool(server.events[kind].pop(0))


@contextmanager
def raw_client(**options: Any) -> Iterator[tuple[Side, Peer, Callable[[], Session]]]:
    """A server, a raw connection to it, and a function that has a session accepted."""
    certificate, key = core.generate_self_signed("localhost")
    server = Side("server", bind=[("127.0.0.1", 0)], certificate=certificate, private_key=key)
    host, port = server.endpoint.local_addresses[0]
    opener = UdpOpener(url=f"https://{host}:{port}/", quic={"insecure": True})
    peer = Peer.connect(opener, options=PeerOptions(deadline=DEADLINE, **options))

    def establish() -> Session:
        with ThreadPoolExecutor(1) as pool:
            accepted = pool.submit(
                lambda: server.endpoint.accept_session(server.expect(core.SESSION_REQUEST)[1])
            )
            session = peer.establish()
            accepted.result()
        return session

    try:
        with peer:
            yield server, peer, establish
    finally:
        server.endpoint.close(timeout=0.2)
        assert server.endpoint.join(DEADLINE)


def test_a_late_stream_is_stopped_with_the_code() -> None:
    """Draft-16 §6: WT_SESSION_GONE, though nobody ever read the stream."""
    with raw_client() as (server, peer, establish):
        session = establish()
        session.close(0, b"")
        assert seen(server, peer, core.SESSION_CLOSED)
        late = peer.open_uni(uni_header(session.id) + b"late")
        assert peer.wait(lambda: late.stop_event is not None)
        assert late.stop_event is not None
        assert late.stop_event.error_code == WT.SESSION_GONE


def test_a_session_without_the_setting_is_reported_too() -> None:
    """Draft-16 §3.1: what a server does with such a client is left to it; here it gets its session."""
    with raw_client(replace_settings={int(Setting.WT_ENABLED_D16): None}) as (server, _, establish):
        assert establish().established
        server.expect(core.SESSION_READY)


def test_data_beyond_the_limit_is_noticed_though_nobody_reads() -> None:
    """Draft-16 §5.6.4: the session's limit lies below QUIC's, and what exceeds it ends the session."""
    with raw_client(flow_control=(10, 10, 1 << 20)) as (server, peer, establish):
        session = establish()
        limit = (peer.peer_settings or {})[Setting.WT_INITIAL_MAX_DATA]
        peer.open_uni(uni_header(session.id) + bytes(limit))
        second = peer.open_uni(uni_header(session.id))
        for _ in range(2):
            assert seen(server, peer, core.STREAM_INCOMING)
        assert not peer.wait(lambda: session.done, 0.0)
        second.send(b"x")
        assert peer.wait(lambda: session.done)
        assert session.reset_event is not None
        assert session.reset_event.error_code == WT.FLOW_CONTROL_ERROR
