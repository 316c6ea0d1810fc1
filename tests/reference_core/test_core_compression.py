"""The dynamic table of QPACK over a real connection, against a raw peer (RFC 9204)."""

from __future__ import annotations

from conformance.peer import qpack
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3, Setting
from conformance.peer.h3frames import headers_frame
from conformance.peer.session import Session

from .hostile import closed_with, connected, serving
from .support import core

BLOCKED = headers_frame(qpack.section_prefix(2) + qpack.indexed_dynamic(0))


def request_by_reference(peer: Peer) -> tuple[Session, bytes]:
    """A request that refers to the first entry of the table, and the instructions that insert it."""
    method, *others = peer.connect_request_fields()
    lines = b"".join(qpack.literal(name, value) for name, value in others)
    section = qpack.section_prefix(2) + qpack.indexed_dynamic(0) + lines
    session = peer.request_session([method, *others], encoder=lambda _: section)
    return session, qpack.set_capacity(220) + qpack.insert_literal(*method)


def test_a_request_waits_for_its_entry() -> None:
    """RFC 9204 §2.2.1: what the request refers to comes later, and is acknowledged (§4.4.1)."""
    with serving() as server, connected(server) as peer:
        session, instructions = request_by_reference(peer)
        # Another connection's worth of time: this one is idle until the entry comes.
        with connected(server) as other:
            server.establish(other)
        assert not server.events[core.SESSION_REQUEST]
        assert peer.encoder_stream is not None
        peer.encoder_stream.send(instructions)
        assert server.told(peer, core.SESSION_REQUEST)
        server.endpoint.accept_session(server.events[core.SESSION_REQUEST].pop(0)[1])
        assert peer.wait(lambda: session.established)
        acknowledgment = b"\x03" + qpack.section_acknowledgment(session.id)
        streams = [stream for stream in peer.streams.values() if stream.id % 4 == 3]
        assert acknowledgment in [bytes(stream.received) for stream in streams]


def test_a_request_that_waits_can_be_given_up() -> None:
    """RFC 9204 §2.2.2.2: its references are cancelled (§4.4.2)."""
    with serving() as server, connected(server) as peer:
        session, instructions = request_by_reference(peer)
        session.reset(H3.REQUEST_CANCELLED)
        cancellation = b"\x03" + qpack.stream_cancellation(session.id)
        assert peer.wait(lambda: any(cancellation == stream.received for stream in peer.streams.values()))
        assert peer.encoder_stream is not None
        peer.encoder_stream.send(instructions)
        server.establish(peer)


def test_a_table_keeps_its_capacity() -> None:
    """RFC 9204 §3.2.3."""
    with serving(qpack_max_table_capacity=100) as server, connected(server) as peer:
        assert (peer.peer_settings or {})[Setting.QPACK_MAX_TABLE_CAPACITY] == 100
        assert peer.encoder_stream is not None
        peer.encoder_stream.send(qpack.set_capacity(100))
        server.establish(peer)
        peer.encoder_stream.send(qpack.set_capacity(101))
        closed_with(peer, H3.QPACK_ENCODER_STREAM_ERROR)


def test_requests_that_wait_are_counted() -> None:
    """RFC 9204 §2.1.2: as many as were allowed wait, one more ends the connection."""
    with serving(qpack_blocked_streams=2) as server, connected(server) as peer:
        assert (peer.peer_settings or {})[Setting.QPACK_BLOCKED_STREAMS] == 2
        for _ in range(2):
            peer.open_bidi(BLOCKED)
        server.establish(peer)
        peer.open_bidi(BLOCKED)
        closed_with(peer, H3.QPACK_DECOMPRESSION_FAILED)


def test_the_table_can_be_switched_off() -> None:
    with serving(qpack_max_table_capacity=0) as server, connected(server) as peer:
        assert Setting.QPACK_MAX_TABLE_CAPACITY not in (peer.peer_settings or {})
        peer.open_bidi(BLOCKED)
        closed_with(peer, H3.QPACK_DECOMPRESSION_FAILED)


def test_answers_shrink_as_the_peer_allows() -> None:
    """RFC 9204 §2.1: the fields of a response that come again are references."""
    allowed = {int(Setting.QPACK_MAX_TABLE_CAPACITY): 4096, int(Setting.QPACK_BLOCKED_STREAMS): 16}
    with serving() as server, connected(server, replace_settings=allowed) as peer:
        sizes = []
        for _ in range(3):
            session = server.establish(peer)
            sizes.append(len(session.received))
            assert (b"capsule-protocol", b"?1") in session.fields
            # Without flow control there is one session at a time.
            session.finish()
            assert peer.wait(lambda ended=session: ended.ended)
        assert sizes[2] < sizes[0]
        assert peer.closed is None
