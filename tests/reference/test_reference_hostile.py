"""The interop server as a whole against peers that ignore its limits: it stays small, and serves others."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from interop_process import Running, running
from pywebtransport import ServerConfig
from pywebtransport.interop import arguments

from conformance.peer.capsules import capsule
from conformance.peer.client import Peer
from conformance.peer.drafts import Draft
from conformance.peer.openers import UdpOpener
from conformance.peer.options import PeerOptions
from conformance.peer.session import Session
from conformance.peer.varint import varint
from conformance.peer.wtheaders import uni_header

REFERENCE = Path(__file__).resolve().parents[2] / "reference_impl"
GROWTH = 12 << 20
"""Bytes that a server may grow by under a flood: its queues, and what an allocator keeps."""
ROUNDS = 150

pytestmark = pytest.mark.usefixtures("built")


def memory(server: Running) -> int:
    """Resident bytes of the process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


def visit(server: Running, draft: Draft = Draft.D16, **quic: Any) -> Peer:
    opener = UdpOpener(url=f"{server.url}/echo", quic={"insecure": True, "frame_events": False, **quic})
    return Peer.connect(opener, draft=draft, options=PeerOptions(deadline=20.0))


def is_served(server: Running) -> None:
    """A peer that behaves gets its echo."""
    with visit(server) as peer:
        stream = peer.establish().open_bidi(b"well", end_stream=True)
        assert peer.wait(lambda: stream.received.endswith(b"well"))


def empty_streams(peer: Peer, session: Session) -> None:
    """As many as QUIC allows, again and again; draft-07 has no limit of its own."""
    while peer.quic.stream_credit(unidirectional=True) > 0:
        session.open_uni(end_stream=True)


def orphans(peer: Peer, _: Session) -> None:
    """Streams and datagrams of sessions that there will never be."""
    while peer.quic.stream_credit(unidirectional=True) > 0:
        peer.open_uni(uni_header(4 * 100_000) + b"orphan")
    peer.send_datagram_raw(varint(100_000) + bytes(1000))


def requests(peer: Peer, _: Session) -> None:
    """Asked for and abandoned at once, with an endpoint that takes its time."""
    if peer.quic.stream_credit(unidirectional=False) > 0:
        session = peer.establish(f"/echo?accept_after_ms=60000&x={'y' * 5000}", wait=False)
        session.reset(0x10C)
        session.stop(0x10C)


def datagrams(_: Peer, session: Session) -> None:
    for _ in range(20):
        session.send_datagram(bytes(1000))


def capsules(_: Peer, session: Session) -> None:
    """Long ones that mean nothing, between such that do."""
    session.send_capsule_bytes(capsule(0x1F * 9 + 0x21, bytes(20_000)) + capsule(0x00, b"d"))


@pytest.mark.parametrize("takes_answers", [True, False])
@pytest.mark.parametrize("flood", [empty_streams, orphans, requests, datagrams, capsules])
def test_a_flood_does_not_make_the_server_grow(
    flood: Callable[[Peer, Session], None], takes_answers: bool
) -> None:
    quic = {} if takes_answers else {"raise_limits": False, "max_streams_uni": 8, "max_data": 100_000}
    with running() as server:
        is_served(server)
        before = memory(server)
        with visit(server, Draft.D07, **quic) as peer:
            session = peer.establish()
            for _ in range(ROUNDS):
                if peer.closed is not None:
                    break
                flood(peer, session)
                peer.wait(peer.quic.acked, 0.05)
            is_served(server)
            assert memory(server) - before < GROWTH
        is_served(server)
        server.signal()
        status, errors = server.end()
        assert (status, errors) == (0, [])


def test_connections_are_limited_and_come_back() -> None:
    with running("--max-connections", "3") as server, ExitStack() as stack:
        peers = [stack.enter_context(visit(server)) for _ in range(3)]
        with pytest.raises(Exception, match="0x2"):
            visit(server)
        peers[0].close()
        # Its place is free once the connection has drained (RFC 9000 §10.2)
        for _ in range(200):
            try:
                stack.enter_context(visit(server))
                break
            except Exception as error:
                assert "0x2" in str(error)
        else:
            pytest.fail("no place became free")


def test_the_page_of_limits_has_them_all_with_their_defaults() -> None:
    page = (REFERENCE / "docs" / "limits.md").read_text()
    defaults = {item.name: item.default for item in fields(ServerConfig)}
    for name in (*arguments.LIMITS, "max_connections"):
        rows = [row for row in page.splitlines() if row.startswith("|") and f"`{name}`" in row.split("|")[1]]
        assert len(rows) == 1, name
        names = re.findall(r"`(\w+)`", rows[0].split("|")[1])
        values = re.findall(r"[\d.]+", rows[0].split("|")[2])
        value = values[names.index(name)] if len(values) > 1 else values[0]
        assert float(value) == defaults[name], name
