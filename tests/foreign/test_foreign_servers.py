"""The foreign servers answer as the endpoint contract says; each one has to be built before."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from conformance.peer.client import Peer
from conformance.peer.drafts import Draft
from conformance.peer.openers import UdpOpener
from conformance.peer.options import PeerOptions, SessionRefused
from conformance.peer.streams import Stream
from scenarios.network import PROFILES, RelayProcess
from scenarios.peers import PEERS, ForeignPeer, PeerServer


@pytest.fixture(scope="module", params=list(PEERS))
def foreign(request: pytest.FixtureRequest) -> ForeignPeer:
    peer = PEERS[request.param]
    problem = peer.missing_toolchain()
    if problem is not None:
        pytest.skip(problem)
    if not peer.executable.exists():
        pytest.skip(f"not built, run: python -m scenarios.peers build {peer.name}")
    return peer


@pytest.fixture(scope="module")
def url(foreign: ForeignPeer) -> Iterator[str]:
    with PeerServer(foreign.command(0)) as server:
        yield server.url


def needs(foreign: ForeignPeer, endpoint: str) -> None:
    if endpoint not in foreign.endpoints:
        pytest.skip(f"{foreign.name} has no endpoint {endpoint}")


def connect(foreign: ForeignPeer, url: str, connect_to: tuple[str, int] | None = None) -> Peer:
    opener = UdpOpener(url=url, quic={"insecure": True}, connect_to=connect_to)
    return Peer.connect(opener, draft=Draft(foreign.drafts[0]), options=PeerOptions(deadline=10))


def echoes(peer: Peer, path: str = "/echo") -> None:
    """Check the three kinds of echo on a new session."""
    session = peer.establish(path)
    bidi = session.open_bidi(b"bidi", end_stream=True)
    session.open_uni(b"uni", end_stream=True)
    assert peer.wait(lambda: bidi.ended and any(stream.ended for stream in session.incoming_uni))
    assert bidi.body == b"bidi"
    assert session.incoming_uni[0].body == b"uni"
    for _ in range(20):
        session.send_datagram(b"datagram")
        if peer.wait(lambda: bool(session.datagrams), 0.5):
            break
    assert session.datagrams[0] == b"datagram"


@pytest.mark.parametrize("path", ["/", "/echo"])
def test_echo(foreign: ForeignPeer, url: str, path: str) -> None:
    with connect(foreign, url) as peer:
        echoes(peer, path)


@pytest.mark.parametrize("profile", ["lossy", "reorder", "rebinding"])
def test_echo_through_the_relay(foreign: ForeignPeer, url: str, profile: str) -> None:
    host, _, port = url.removeprefix("https://").rstrip("/").partition(":")
    with (
        RelayProcess(PROFILES[profile], 1, (host, int(port))) as relay,
        connect(foreign, url, relay.address) as peer,
    ):
        echoes(peer)


def test_push(foreign: ForeignPeer, url: str) -> None:
    with connect(foreign, url) as peer:
        session = peer.establish("/push?uni=2&bidi=1&bytes=300")
        assert peer.wait(lambda: len([s for s in session.incoming if s.ended]) == 3)
        pattern = bytes(i % 251 for i in range(300))
        assert {stream.body for stream in session.incoming} == {pattern}


def test_reject(foreign: ForeignPeer, url: str) -> None:
    with connect(foreign, url) as peer, pytest.raises(SessionRefused) as refusal:
        peer.establish("/reject?status=404")
    assert refusal.value.status == 404


def test_reset(foreign: ForeignPeer, url: str) -> None:
    with connect(foreign, url) as peer:
        session = peer.establish("/reset?code=7")
        stream = session.open_bidi(b"x")
        assert peer.wait(lambda: stream.reset_event is not None)


def test_close(foreign: ForeignPeer, url: str) -> None:
    with connect(foreign, url) as peer:
        session = peer.establish("/close?code=7&reason=enough")
        assert peer.wait(lambda: session.closed_by_peer or peer.closed is not None)
        if session.close_message is not None:
            assert (session.close_message.code, session.close_message.message) == (7, b"enough")


@pytest.mark.parametrize("path", ["/no-such-endpoint", "/push?uni=x", "/close?code=-1"])
def test_what_cannot_be_is_refused(foreign: ForeignPeer, url: str, path: str) -> None:
    with connect(foreign, url) as peer, pytest.raises(SessionRefused) as refusal:
        peer.establish(path)
    assert refusal.value.status in {400, 403, 404, 405}


def answer(peer: Peer, path: str) -> bytes:
    """Ask a query stream."""
    session = peer.establish(path)
    stream: Stream = session.open_bidi(end_stream=True)
    assert peer.wait(lambda: stream.ended)
    return stream.body


def test_observe(foreign: ForeignPeer, url: str) -> None:
    needs(foreign, "observe")
    with connect(foreign, url) as peer:
        session = peer.establish("/observe?id=X&echo=1")
        stream = session.open_bidi(b"seen", end_stream=True)
        assert peer.wait(lambda: stream.ended)
        session.close(5, b"done")
        assert peer.wait(lambda: session.done)
    with connect(foreign, url) as peer:
        records = [json.loads(line) for line in answer(peer, "/observe?read=X").splitlines()]
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert [record["event"] for record in records] == ["session", "stream", "data", "fin", "closed"]
    assert records[2]["data"] == b"seen".hex()
    assert (records[4]["code"], records[4]["reason"], records[4]["clean"]) == (5, "done", True)


def test_protocols(foreign: ForeignPeer, url: str) -> None:
    needs(foreign, "protocols")
    with connect(foreign, url) as peer:
        request = peer.connect_request_fields(
            "/protocols?supports=b", extra=[(b"wt-available-protocols", b'"a", "b"')]
        )
        session = peer.establish(fields=request)
        stream = session.open_bidi(end_stream=True)
        assert peer.wait(lambda: stream.ended)
        assert json.loads(stream.body) == {"offered": ["a", "b"], "selected": "b"}
        assert session.field(b"wt-protocol") == b'"b"'
