"""Sessions from request to end, client against model server in memory, in all drafts."""

from __future__ import annotations

import pytest

from conformance.peer import errorcodes
from conformance.peer.capsules import CloseMessage
from conformance.peer.codepoints import H3, WT, CapsuleType
from conformance.peer.drafts import DRAFTS, FACTS, Draft
from conformance.peer.options import SessionRefused
from conformance.peer.session import Session
from tests.peer_wt.support import World

ALL_DRAFTS = pytest.mark.parametrize("draft", DRAFTS)
BYTES = bytes(range(256)) * 4


@pytest.fixture(params=DRAFTS, ids=[f"draft-{draft}" for draft in DRAFTS])
def session(request: pytest.FixtureRequest) -> Session:
    """A session with the echo endpoint of a server that offers one draft."""
    return World(drafts=[request.param]).connect(request.param).establish()


def settle(session: Session) -> None:
    assert session.peer.wait(lambda: session.done)
    assert session.peer.fence().held


def test_response_marks(session: Session) -> None:
    marks = session.peer.facts.response_marks
    assert session.fields == ((b":status", b"200"), *marks)
    assert not session.ended


def test_echo_bidi(session: Session) -> None:
    stream = session.open_bidi(BYTES)
    assert session.peer.wait(lambda: len(stream.received) == len(BYTES))
    assert not stream.ended
    stream.finish()
    assert session.peer.wait(lambda: stream.ended)
    assert stream.received == BYTES


def test_echo_uni(session: Session) -> None:
    session.open_uni(BYTES, end_stream=True)
    assert session.peer.wait(lambda: bool(session.incoming_uni) and session.incoming_uni[0].ended)
    stream = session.incoming_uni[0]
    assert stream.body == BYTES
    assert stream.received[:3].hex() == "405400"


def test_echo_datagram(session: Session) -> None:
    session.send_datagram(b"ping")
    session.send_datagram(b"")
    assert session.peer.wait(lambda: len(session.datagrams) == 2)
    assert session.datagrams == [b"ping", b""]


def test_empty_streams(session: Session) -> None:
    stream = session.open_bidi(end_stream=True)
    session.open_uni(end_stream=True)
    assert session.peer.wait(lambda: stream.ended and bool(session.incoming_uni))
    assert stream.received == b""
    assert session.peer.wait(lambda: session.incoming_uni[0].ended)
    assert session.incoming_uni[0].body == b""


def test_header_byte_by_byte(session: Session) -> None:
    peer = session.peer
    stream = peer.open_bidi()
    for byte in bytes.fromhex("80000041c000000000000000") + b"hi":
        stream.send(bytes([byte]))
        peer.wait(peer.quic.acked)
    assert peer.wait(lambda: stream.received == b"hi")


def test_client_closes(session: Session) -> None:
    held = session.open_bidi(b"x")
    uni = session.open_uni(b"y")
    peer = session.peer
    assert peer.wait(lambda: bool(held.received) and bool(session.incoming_uni))
    session.close(7, b"bye")
    settle(session)
    assert session.ended
    gone = {WT.SESSION_GONE}
    for stream in (held, session.incoming_uni[0]):
        assert stream.reset_event is not None
        assert stream.reset_event.error_code in gone
    for stream in (held, uni):
        assert stream.stop_event is not None
        assert stream.stop_event.error_code in gone
    assert peer.closed is None


def test_client_finishes(session: Session) -> None:
    session.finish()
    settle(session)
    assert session.ended


def test_client_resets_connect_stream(session: Session) -> None:
    held = session.open_bidi(b"x")
    session.peer.wait(lambda: bool(held.received))
    session.reset(H3.REQUEST_CANCELLED)
    settle(session)
    assert session.reset_event is not None
    assert held.reset_event is not None


def test_client_stops_connect_stream(session: Session) -> None:
    session.stop(H3.REQUEST_CANCELLED)
    settle(session)
    assert session.stop_event is not None
    assert session.stop_event.error_code == WT.SESSION_GONE


def test_reset_and_stop_with_mapped_codes(session: Session) -> None:
    peer = session.peer
    stream = session.open_bidi(b"x")
    stopped = session.open_bidi(b"x")
    assert peer.wait(lambda: bool(stream.received) and bool(stopped.received))
    stream.reset_with(30)
    stopped.stop(errorcodes.to_http(31))
    assert peer.wait(lambda: stream.done and stopped.done and stopped.stop_event is not None)
    assert stream.reset_event is not None
    assert stream.reset_event.error_code == 0x52E4A40FA8FA
    assert stopped.stop_event is not None
    assert stopped.stop_event.error_code == errorcodes.to_http(31)
    assert peer.fence(session).held


def test_reset_outside_of_the_range_ends_only_the_stream(session: Session) -> None:
    peer = session.peer
    for code in (H3.REQUEST_CANCELLED, 0x52E4A40FA8DA, 0x52E4A40FA8F9, 0x52E5AC983163, (1 << 62) - 1):
        stream = session.open_bidi(b"x")
        assert peer.wait(lambda stream=stream: bool(stream.received))  # type: ignore[misc]
        stream.reset(code)
        assert peer.wait(lambda stream=stream: stream.done)  # type: ignore[misc]
    assert peer.fence(session).held


def test_late_streams_of_an_ended_session(session: Session) -> None:
    session.close()
    settle(session)
    uni, bidi = session.open_uni(b"x"), session.open_bidi(b"x")
    assert session.peer.wait(lambda: uni.stop_event is not None and bidi.reset_event is not None)
    assert bidi.stop_event is not None
    assert {event.error_code for event in (uni.stop_event, bidi.stop_event) if event} == {WT.SESSION_GONE}
    assert session.peer.fence().held


def test_one_session_after_the_other(session: Session) -> None:
    session.close()
    settle(session)
    again = session.peer.establish()
    assert again.id == 4
    again.send_datagram(b"x")
    assert session.peer.wait(lambda: again.datagrams == [b"x"])
    assert session.peer.datagrams[-1].quarter_stream_id == 1


@ALL_DRAFTS
def test_server_closes(draft: Draft) -> None:
    world = World(drafts=[draft])
    peer = world.connect(draft)
    session = peer.establish("/close?code=4294967294&reason=%C3%A9&after_ms=20&uni=1&bidi=1")
    assert peer.wait(lambda: session.ended)
    assert session.close_message == CloseMessage(0xFFFFFFFE, "é".encode())
    assert peer.wait(lambda: all(stream.reset_event for stream in session.incoming))
    assert len(session.incoming) == 2
    for stream in session.incoming:
        assert stream.reset_event is not None
        reliable = stream.reset_event.reliable_size
        assert reliable == (3 if FACTS[draft].reset_stream_at else None)


def test_close_message_is_cut_at_a_character() -> None:
    peer = World().connect()
    session = peer.establish("/close?reason=%E2%82%AC&repeat=2000")
    assert peer.wait(lambda: session.ended)
    assert session.close_message is not None
    assert session.close_message.text == "€" * 341


def test_server_finishes() -> None:
    peer = World().connect()
    session = peer.establish("/close?fin=1&on=stream")
    session.open_uni(b"now")
    assert peer.wait(lambda: session.ended)
    assert session.capsules == []


def test_server_closes_connection_after_the_sessions() -> None:
    peer = World().connect()
    session = peer.establish("/close?connection=1")
    assert peer.wait(lambda: session.ended)
    assert len(peer.goaways) == 1
    assert not peer.wait(lambda: peer.closed is not None, 1.0)
    session.finish()
    peer.wait(lambda: False)
    assert peer.closed is not None
    assert peer.closed.error_code == H3.NO_ERROR


@pytest.mark.parametrize("draft", [Draft.D16, Draft.D14, Draft.D07])
def test_drain(draft: Draft) -> None:
    peer = World(drafts=[draft]).connect(draft)
    session = peer.establish("/drain?after_ms=5")
    assert peer.wait(lambda: bool(session.capsules))
    assert [(c.capsule_type, c.value) for c in session.capsules] == [(CapsuleType.WT_DRAIN_SESSION, b"")]
    assert peer.fence(session).held


@ALL_DRAFTS
def test_unknown_resource(draft: Draft) -> None:
    peer = World(drafts=[draft]).connect(draft)
    with pytest.raises(SessionRefused) as caught:
        peer.establish("/nothing")
    assert caught.value.status == FACTS[draft].unknown_resource_status


def test_405_has_allow() -> None:
    peer = World().connect()
    session = peer.request_session(peer.connect_request_fields("/http"))
    assert peer.wait(lambda: session.ended)
    assert (session.status, session.field(b"allow")) == (405, b"GET, HEAD")
