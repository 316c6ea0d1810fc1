"""0-RTT on the side of a server (draft-16 §3.2, RFC 8470, RFC 9114 §7.2.4.2)."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.peer.client import Peer
from conformance.peer.codepoints import Setting
from conformance.peer.drafts import Draft
from conformance.peer.events import QuicPacket
from conformance.peer.openers import UdpOpener
from conformance.peer.options import PeerOptions

from .hostile import serving
from .support import DEADLINE, core

REMEMBERED = (
    Setting.WT_INITIAL_MAX_DATA,
    Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    Setting.WT_INITIAL_MAX_STREAMS_UNI,
    Setting.H3_DATAGRAM,
)


def first_visit(opener: UdpOpener) -> tuple[Any, dict[int, int]]:
    """A ticket, and the settings that go with it."""
    with Peer.connect(opener, options=PeerOptions(deadline=DEADLINE)) as peer:
        assert peer.wait(lambda: bool(peer.quic.session_tickets))
        return peer.quic.session_tickets[0], dict(peer.peer_settings or {})


def resuming(opener: UdpOpener, ticket: Any) -> Peer:
    """A connection that has sent nothing yet: what is queued now goes out in 0-RTT."""
    peer = Peer(opener, Draft.D16, PeerOptions(deadline=DEADLINE, quic={"session_ticket": ticket}))
    peer.start_h3()
    return peer


def sent_early(peer: Peer) -> bool:
    return any(
        isinstance(event, QuicPacket) and event.sent and event.packet_type == "0rtt" for event in peer.events
    )


def test_a_resumed_connection_has_the_settings_of_before() -> None:
    """Draft-16 §3.2, RFC 9297 §2.1.1, draft-ietf-quic-reliable-stream-reset §3: nothing is lowered."""
    with serving(early_data=True) as server:
        ticket, before = first_visit(server.opener)
        with resuming(server.opener, ticket) as peer:
            assert peer.wait(lambda: peer.quic.handshake_complete and peer.peer_settings is not None)
            assert peer.quic.early_data_accepted
            assert sent_early(peer)
            after = dict(peer.peer_settings or {})
            assert {key: after.get(key) for key in REMEMBERED} == {key: before[key] for key in REMEMBERED}
            assert {0x1D, 0x17F7586D2CB571} <= set(peer.quic.peer_transport_parameters)


def test_a_request_in_early_data_waits_for_the_handshake() -> None:
    """RFC 8470 §3: it might be a replay. Whoever sent it has to finish the handshake first."""
    with serving(early_data=True) as server:
        ticket, _ = first_visit(server.opener)
        while server.events.pop(core.CONNECTION_READY, None) is None:
            server.poll()
        with resuming(server.opener, ticket) as peer:
            silent = False
            peer.quic.packet_filter = lambda data, _: [] if silent else [data]
            session = peer.request_session(peer.connect_request_fields("/echo"))
            peer.wait(lambda: sent_early(peer), 0.0)
            assert sent_early(peer)
            # The flight with the end of the handshake is lost, as long as we like
            silent = True
            assert peer.wait(lambda: peer.peer_settings is not None)
            server.poll()
            assert not server.events[core.CONNECTION_READY]
            assert not server.events[core.SESSION_REQUEST]
            silent = False

            assert server.told(peer, core.SESSION_REQUEST)
            (_, handle, _, request) = server.events[core.SESSION_REQUEST][0]
            assert request["early_data"]
            server.endpoint.accept_session(handle)
            assert peer.wait(lambda: session.established)


def test_a_handshake_that_is_never_finished_is_never_heard_of() -> None:
    with serving(early_data=True, handshake_timeout=0.05) as server:
        ticket, _ = first_visit(server.opener)
        server.expect(core.CONNECTION_CLOSED)
        server.poll()
        server.events.clear()
        with resuming(server.opener, ticket) as peer:
            peer.request_session(peer.connect_request_fields("/echo"))
            silent = False
            peer.quic.packet_filter = lambda data, _: [] if silent else [data]
            peer.wait(lambda: sent_early(peer), 0.0)
            silent = True
            server.expect(core.CONNECTION_CLOSED)
            assert not any(server.events.values())


@pytest.mark.parametrize("early_data", [True, False])
def test_early_data_are_taken_only_where_that_is_asked_for(early_data: bool) -> None:
    with serving(early_data=early_data) as server:
        ticket, _ = first_visit(server.opener)
        assert (ticket.max_early_data_size or 0) == (0xFFFFFFFF if early_data else 0)
        with resuming(server.opener, ticket) as peer:
            session = peer.request_session(peer.connect_request_fields("/echo"))

            assert server.told(peer, core.SESSION_REQUEST)
            (_, handle, _, request) = server.events[core.SESSION_REQUEST][0]
            assert request["early_data"] is early_data
            assert peer.quic.early_data_accepted is early_data
            server.endpoint.accept_session(handle)
            assert peer.wait(lambda: session.established)
