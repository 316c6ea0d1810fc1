"""Each limit of docs/limits.md of the reference against a peer that ignores it: what the peer sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.peer.capsules import capsule, close_value
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3, WT, CapsuleType, Quic, Setting
from conformance.peer.h3frames import data_frame, frame
from conformance.peer.qpack import indexed_dynamic, section_prefix, set_capacity
from conformance.peer.session import Session
from conformance.peer.varint import varint
from conformance.peer.wtheaders import uni_header

from .hostile import Server, closed_with, connected, serving
from .support import core

UNKNOWN = 0x1F * 7 + 0x21
"""A reserved type of frames, capsules, streams and settings (RFC 9114 §7.2.8)."""
WITHOUT_FLOW_CONTROL: dict[str, Any] = {
    "replace_settings": {
        int(Setting.WT_INITIAL_MAX_DATA): None,
        int(Setting.WT_INITIAL_MAX_STREAMS_UNI): None,
        int(Setting.WT_INITIAL_MAX_STREAMS_BIDI): None,
    }
}
"""Of the session (draft-16 §5.1); that of QUIC is left."""


def reset_with(peer: Peer, session: Session, code: int) -> None:
    """The CONNECT stream is ended in both directions, the connection goes on."""
    assert peer.wait(lambda: session.reset_event is not None or session.stop_event is not None)
    for event in (session.reset_event, session.stop_event):
        assert event is None or event.error_code == code
    assert peer.closed is None


# QUIC


def test_streams_beyond_the_limit_of_quic_end_the_connection() -> None:
    with serving(max_bidi_streams=4) as server, connected(server) as peer:
        stream = varint(0x08 | 0x02) + varint(4 * 4) + varint(1) + b"x"
        peer.quic.inject_frames(stream)
        closed_with(peer, Quic.STREAM_LIMIT_ERROR)


def test_bytes_beyond_the_limit_of_quic_end_the_connection() -> None:
    with serving(stream_receive_window=2000) as server, connected(server) as peer:
        stream = varint(0x0C | 0x02) + varint(0) + varint(2000) + varint(1) + b"x"
        peer.quic.inject_frames(stream)
        closed_with(peer, Quic.FLOW_CONTROL_ERROR)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (varint(0x06) + varint(20_000) + varint(1) + b"x", Quic.CRYPTO_BUFFER_EXCEEDED),
        (varint(0x18) + varint(50) + varint(0) + bytes([8]) + bytes(24), Quic.CONNECTION_ID_LIMIT_ERROR),
    ],
    ids=["crypto", "connection IDs"],
)
def test_what_the_engine_keeps_of_a_handshake_and_of_addresses_is_limited(frames: bytes, code: int) -> None:
    with serving() as server, connected(server) as peer:
        peer.quic.inject_frames(frames)
        closed_with(peer, code)


# HTTP/3


def test_a_table_beyond_the_limit_is_no_table() -> None:
    """RFC 9204 §4.3.1."""
    with serving(qpack_max_table_capacity=100) as server, connected(server) as peer:
        assert (peer.peer_settings or {})[Setting.QPACK_MAX_TABLE_CAPACITY] == 100
        assert peer.encoder_stream is not None
        peer.encoder_stream.send(set_capacity(101))
        closed_with(peer, H3.QPACK_ENCODER_STREAM_ERROR)


def test_requests_that_wait_for_the_table_are_limited() -> None:
    """RFC 9204 §2.1.2."""

    def blocked(_: object) -> bytes:
        # Required Insert Count 1 is encoded as 2 (§4.5.1.1)
        return section_prefix(2) + indexed_dynamic(0)

    with serving(qpack_blocked_streams=2) as server, connected(server) as peer:
        assert (peer.peer_settings or {})[Setting.QPACK_BLOCKED_STREAMS] == 2
        for _ in range(3):
            peer.send_request([], encoder=blocked)
        closed_with(peer, H3.QPACK_DECOMPRESSION_FAILED)


def test_settings_that_are_too_long() -> None:
    entries = tuple((UNKNOWN + 0x1F * index, 0) for index in range(100))
    odd = {"extra_settings": entries, "wait_settings": False}
    with serving(max_settings_size=200) as server, connected(server, **odd) as peer:
        closed_with(peer, H3.EXCESSIVE_LOAD)


def test_a_field_section_that_is_too_long_gets_431() -> None:
    """RFC 9114 §4.2.2."""
    with serving(max_field_section_size=1000) as server, connected(server) as peer:
        assert (peer.peer_settings or {})[Setting.MAX_FIELD_SECTION_SIZE] == 1000
        session = peer.establish(extra=[(b"x", b"y" * 1000)], wait=False)
        assert peer.wait(lambda: session.status is not None)
        assert session.status == 431
        assert not server.events[core.SESSION_REQUEST]
        server.establish(peer)


def flood_frames(peer: Peer, _: Server) -> None:
    assert peer.control is not None
    peer.control.send(frame(UNKNOWN, b"") * 60)


def flood_request_frames(peer: Peer, _: Server) -> None:
    peer.open_bidi(frame(UNKNOWN, b"abc") * 60)


def flood_streams(peer: Peer, _: Server) -> None:
    for _ in range(60):
        peer.open_uni(varint(UNKNOWN), end_stream=True)


def flood_empty_data(peer: Peer, server: Server) -> None:
    server.establish(peer).send(data_frame(b"") * 60)


def flood_capsules(peer: Peer, server: Server) -> None:
    server.establish(peer).send_capsule_bytes(capsule(UNKNOWN, b"") * 60)


@pytest.mark.parametrize(
    "flood", [flood_frames, flood_request_frames, flood_streams, flood_empty_data, flood_capsules]
)
def test_elements_without_effect_are_limited(flood: Callable[[Peer, Server], None]) -> None:
    """RFC 9114 §10.5."""
    with serving(max_ignored_elements=50) as server, connected(server) as peer:
        flood(peer, server)
        closed_with(peer, H3.EXCESSIVE_LOAD)


def test_a_frame_without_end_takes_no_memory() -> None:
    with serving() as server, connected(server) as peer:
        assert peer.control is not None
        peer.control.send(varint(UNKNOWN) + varint((1 << 62) - 1) + bytes(200_000))
        assert server.establish(peer).established


# Sessions


def test_sessions_beyond_the_limit_are_rejected() -> None:
    with serving(max_sessions=2) as server, connected(server, flow_control=(9, 9, 9999)) as peer:
        first = server.establish(peer)
        server.establish(peer)
        third = peer.establish(wait=False)
        reset_with(peer, third, H3.REQUEST_REJECTED)
        first.close(0, b"")
        assert server.told(peer, core.SESSION_CLOSED)
        server.establish(peer)


def test_what_comes_before_the_answer_is_limited() -> None:
    """Draft-16 §3.2."""
    with serving(max_early_capsule_bytes=100) as server, connected(server) as peer:
        session = peer.establish(wait=False)
        session.send_capsule_bytes(capsule(UNKNOWN, bytes(200)))
        reset_with(peer, session, H3.EXCESSIVE_LOAD)


def test_streams_without_a_session_are_limited() -> None:
    """Draft-16 §4.6."""
    with serving(max_buffered_streams=3) as server, connected(server) as peer:
        streams = [peer.open_uni(uni_header(400) + b"x") for _ in range(4)]
        last = streams[-1]
        assert peer.wait(lambda: any(stream.stop_event is not None for stream in streams))
        assert last.stop_event is not None
        assert last.stop_event.error_code == WT.BUFFERED_STREAM_REJECTED
        assert sum(stream.stop_event is not None for stream in streams) == 1


def test_datagrams_without_a_session_are_limited() -> None:
    """Draft-16 §4.6: further ones are dropped."""
    with serving(max_buffered_datagrams=3) as server, connected(server) as peer:
        for index in range(10):
            peer.send_datagram_raw(varint(0) + bytes([index]))
        assert peer.wait(peer.quic.acked)
        server.establish(peer)
        assert server.told(peer, core.DATAGRAMS)
        server.poll()
        payloads = [payload for event in server.events[core.DATAGRAMS] for payload in event[2]]
        assert payloads == [b"\0", b"\1", b"\2"]


def test_a_capsule_that_is_too_long_for_a_datagram_is_skipped() -> None:
    """RFC 9297 §3.5."""
    with serving(max_datagram_capsule=100) as server, connected(server) as peer:
        session = server.establish(peer)
        session.send_capsule(CapsuleType.DATAGRAM, bytes(101))
        session.send_capsule(CapsuleType.DATAGRAM, b"short")
        assert server.told(peer, core.DATAGRAMS)
        assert [event[2] for event in server.events[core.DATAGRAMS]] == [[b"short"]]


def test_a_close_message_that_is_too_long_is_malformed() -> None:
    """Draft-16 §6."""
    with serving() as server, connected(server) as peer:
        session = server.establish(peer)
        session.send_capsule(CapsuleType.WT_CLOSE_SESSION, close_value(0, b"m" * 1025))
        reset_with(peer, session, H3.MESSAGE_ERROR)


@pytest.mark.parametrize("kind", ["uni", "bidi", "data"])
def test_what_exceeds_the_limits_of_a_session_ends_it(kind: str) -> None:
    """Draft-16 §5.6."""
    limits = {"initial_max_streams_uni": 2, "initial_max_streams_bidi": 2, "initial_max_data": 100}
    with serving(**limits) as server, connected(server, flow_control=(9, 9, 9999)) as peer:
        session = server.establish(peer)
        if kind == "data":
            session.open_uni(bytes(101))
        for _ in range(3 if kind != "data" else 0):
            session.open_uni(b"x") if kind == "uni" else session.open_bidi(b"x")
        reset_with(peer, session, WT.FLOW_CONTROL_ERROR)


def test_sessions_that_ended_long_ago_stay_gone() -> None:
    with serving(max_remembered_sessions=1) as server, connected(server) as peer:
        gone = []
        for _ in range(3):
            session = server.establish(peer)
            session.close(0, b"")
            assert server.told(peer, core.SESSION_CLOSED)
            server.events[core.SESSION_CLOSED].clear()
            gone.append(session.id)
        late = [peer.open_uni(uni_header(number) + b"late") for number in gone]
        assert peer.wait(lambda: all(stream.stop_event is not None for stream in late))
        for stream in late:
            assert stream.stop_event is not None
            assert stream.stop_event.error_code == WT.SESSION_GONE


# What the application does not take


def test_datagrams_that_nobody_fetches_are_dropped() -> None:
    with serving(max_datagrams_queued=5) as server, connected(server) as peer:
        session = server.establish(peer)
        for _ in range(50):
            session.send_datagram(b"x")
        assert peer.wait(peer.quic.acked)
        assert server.stat("datagrams_dropped") == 45


@pytest.mark.parametrize("body", [b"", b"x"])
def test_streams_that_nobody_takes_hold_the_peer_up(body: bytes) -> None:
    """Without session flow control nothing but QUIC's limit is left, which then has to hold."""
    with (
        serving(max_pending_streams=20, max_uni_streams=10, max_bidi_streams=10) as server,
        connected(server, **WITHOUT_FLOW_CONTROL) as peer,
    ):
        session = server.establish(peer)

        def opens() -> bool:
            while peer.quic.stream_credit(unidirectional=True) > 0:
                session.open_uni(body, end_stream=True)
            return False

        peer.wait(opens, 0.5)
        assert server.stat("events_queued") < 100
        taken = []
        while server.stat("events_queued"):
            server.poll()
        held = len(server.events[core.STREAM_INCOMING])
        assert 20 <= held <= 30
        assert server.stat("stream_handles") == held
        # It goes on as the application does
        while len(taken) < 200:
            assert server.until(peer, lambda: bool(server.events[core.STREAM_INCOMING]) or opens())
            stream = server.events[core.STREAM_INCOMING].pop(0)[1]
            assert server.read_all(stream) == body
            taken.append(stream)


def test_bytes_that_nobody_reads_hold_the_peer_up() -> None:
    with (
        serving(stream_read_buffer=10_000, stream_receive_window=20_000) as server,
        connected(server, **WITHOUT_FLOW_CONTROL) as peer,
    ):
        session = server.establish(peer)
        stream = session.open_uni(bytes(1 << 20))
        assert server.told(peer, core.STREAM_INCOMING)
        there = server.events[core.STREAM_INCOMING][0][1]
        peer.wait(lambda: False, 0.3)
        assert server.endpoint.buffered(there) <= 10_000
        stream.finish()
        received = bytearray()
        ended = False

        def reads() -> bool:
            nonlocal ended
            while not ended and (data := server.endpoint.read(there)) is not None:
                received.extend(data)
                ended = not data
            return ended

        assert server.until(peer, reads)
        assert len(received) == 1 << 20


def test_an_application_that_does_not_listen_holds_the_peers_up() -> None:
    """What comes in meanwhile waits in the system's buffer, or is lost there."""
    with serving(event_queue=8) as server, connected(server, flow_control=(99, 99, 99_999)) as peer:
        for _ in range(30):
            peer.establish(wait=False)
        peer.wait(lambda: False, 0.2)
        assert server.stat("events_queued") <= 8 + 2
        answered = 0

        def answers() -> bool:
            nonlocal answered
            for event in server.events.pop(core.SESSION_REQUEST, []):
                server.endpoint.reject_session(event[1])
                answered += 1
            return answered == 30

        assert server.until(peer, answers)
