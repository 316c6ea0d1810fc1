"""Clients that leave as soon as they may: what was accepted is served all the same."""

from __future__ import annotations

import json

import pytest
from interop_process import Running, running

from conformance.peer.capsules import close_capsule
from conformance.peer.client import Peer
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.h3frames import data_frame
from conformance.peer.openers import UdpOpener
from conformance.peer.options import PeerOptions

pytestmark = pytest.mark.usefixtures("built")


def visit(server: Running, draft: Draft) -> Peer:
    opener = UdpOpener(url=f"{server.url}/observe", quic={"insecure": True})
    return Peer.connect(opener, draft=draft, options=PeerOptions(deadline=20.0))


def records(server: Running, identifier: str) -> list[str]:
    """What the application saw, once its session has ended."""
    with visit(server, Draft.D16) as peer:
        session = peer.establish(f"/observe?read={identifier}")
        seen: list[str] = []
        while "closed" not in seen:
            stream = session.open_bidi(end_stream=True)
            assert peer.wait(lambda stream=stream: stream.ended)  # type: ignore[misc]
            seen = [json.loads(line)["event"] for line in stream.received.splitlines()]
            assert seen, "the session was never served"
    return seen


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_session_that_ends_with_its_request_is_served(draft: Draft) -> None:
    """The end is known before the application can have heard that the session began."""
    with running() as server, visit(server, draft) as peer:
        fields = peer.connect_request_fields("/observe?id=hasty")
        session = peer.request_session(fields, then=data_frame(close_capsule(7, b"gone")))
        assert peer.wait(lambda: session.done)
        assert records(server, "hasty") == ["session", "closed"]
