"""Sessions from request to end, client against model server in memory, in all drafts."""

from __future__ import annotations

import pytest

from conformance.peer import errorcodes, qpack
from conformance.peer.capsules import CloseMessage
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3, WT, CapsuleType, Setting
from conformance.peer.drafts import DRAFTS, FACTS, Draft
from conformance.peer.events import FieldSection, StreamReset, WtStream
from conformance.peer.h3frames import headers_frame
from conformance.peer.model import Behaviour
from conformance.peer.options import ConnectFailed, SessionRefused
from conformance.peer.probe import probe_draft
from conformance.peer.session import Session
from tests.peer_wt.support import ALL_LIMITS, World

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
    peer.wait(lambda: False, 1.0)
    assert peer.closed is None
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


@ALL_DRAFTS
def test_newest_shared_draft_is_used(draft: Draft) -> None:
    world = World()
    older = DRAFTS[DRAFTS.index(draft) :]
    peer = world.connect(draft, also=older[1:])
    assert peer.establish().established
    assert world.server.context.connections[0].draft is draft


def test_token_of_another_draft_is_refused() -> None:
    peer = World().connect()
    with pytest.raises(SessionRefused) as caught:
        peer.establish(fields=peer.connect_request_fields(replace={b":protocol": b"webtransport"}))
    assert caught.value.status == 501


def test_request_waits_for_settings() -> None:
    peer = World().connect(send_settings=False)
    session = peer.establish(wait=False)
    stream = session.open_bidi(b"early")
    session.send_datagram(b"early")
    assert peer.fence(session, echo=False).held
    assert not session.answered
    peer.send_settings()
    assert peer.wait(lambda: session.established and stream.received == b"early")
    assert peer.wait(lambda: session.datagrams == [b"early"])


def test_streams_and_datagrams_before_the_request() -> None:
    peer = World().connect()
    early_uni = peer.open_uni(b"\x40\x54\x04" + BYTES)
    peer.quic.next_stream_id(unidirectional=False)
    request_id = peer.quic.next_stream_id(unidirectional=False)
    assert request_id == 4
    early = peer.open_bidi(b"\x40\x41\x04" + BYTES * 10, end_stream=True)
    peer.send_datagram_raw(b"\x01early")
    assert peer.fence().held
    assert early_uni.stop_event is None
    session = Session(peer, request_id)
    peer.streams[request_id] = peer.sessions[request_id] = session
    session.send(headers_frame(qpack.encode_static(peer.connect_request_fields())))
    assert peer.wait(lambda: early.ended)
    assert early.received == BYTES * 10
    assert peer.wait(lambda: session.datagrams == [b"early"])


def test_early_capsules_are_processed_after_acceptance() -> None:
    peer = World().connect()
    session = peer.request_session(peer.connect_request_fields("/echo?accept_after_ms=100"))
    session.close(7)
    assert peer.fence().held
    assert not session.answered
    assert peer.wait(lambda: session.established and session.ended)


def test_early_bytes_are_dropped_with_a_refusal() -> None:
    peer = World().connect()
    session = peer.request_session(peer.connect_request_fields("/reject?after_ms=50"))
    session.send(b"\x00\x02\x68\x43")
    assert peer.wait(lambda: session.ended)
    assert session.status == 403
    assert peer.fence().held


def test_late_bad_settings_end_an_accepted_session() -> None:
    class Hasty(Behaviour):
        def waits_for_settings(self) -> bool:
            return False

    behaviour = Hasty()
    for rule in ("no-common-draft", "client-h3-datagram"):
        behaviour.rules.skip(rule)
    world = World(behaviour)
    peer = world.connect(send_settings=False, replace_settings={Setting.H3_DATAGRAM: None})
    session = peer.establish()
    behaviour.rules.scope("client-h3-datagram", "request")
    peer.send_settings()
    assert peer.wait(lambda: session.reset_event is not None)
    assert session.reset_event is not None
    assert session.reset_event.error_code == H3.MESSAGE_ERROR


def test_dynamic_table_and_blocked_request() -> None:
    peer = World().connect()
    assert peer.encoder_stream is not None and peer.decoder_stream is not None
    fields = peer.connect_request_fields()
    # Required Insert Count 1, a table of at most 4096 / 32 entries: encoded as 2 (RFC 9204 §4.5.1.1).
    pseudo = [field for field in fields if field[0].startswith(b":") and field[0] != b":path"]
    section = qpack.section_prefix(2, 0) + b"".join(qpack.literal(*field) for field in pseudo)
    section += qpack.indexed_dynamic(0)
    session = peer.request_session([], encoder=lambda _: section)
    assert peer.fence().held
    assert not session.answered
    peer.encoder_stream.send(qpack.set_capacity(4096) + qpack.insert_literal(b":path", b"/echo"))
    assert peer.wait(lambda: session.established)
    received = [e for e in peer.events if isinstance(e, FieldSection) and e.sent]
    assert dict(received[-1].fields)[b":path"] == b"/echo"
    decoder = next(s for s in peer.streams.values() if s.received.startswith(b"\x03"))
    assert decoder.received == b"\x03" + qpack.section_acknowledgment(session.id)


@pytest.mark.parametrize("draft", [Draft.D16, Draft.D14])
def test_two_sessions_with_flow_control(draft: Draft) -> None:
    peer = World(drafts=[draft]).connect(draft, flow_control=ALL_LIMITS)
    first, second = peer.establish(), peer.establish()
    one, two = first.open_uni(b"1", end_stream=True), second.open_uni(b"2", end_stream=True)
    assert peer.wait(lambda: bool(first.incoming) and bool(second.incoming))
    assert peer.wait(lambda: first.incoming[0].ended and second.incoming[0].ended)
    assert (first.incoming[0].body, second.incoming[0].body) == (b"1", b"2")
    assert one.stop_event is None and two.stop_event is None


def test_probe() -> None:
    probe = probe_draft(World(drafts=[Draft.D14, Draft.D02]).opener)
    assert probe.drafts == {Draft.D14, Draft.D02}
    assert probe.newest is Draft.D14
    assert probe.missing(Draft.D14) == ()
    assert probe.missing(Draft.D16) == ("WT_ENABLED_D16",)
    assert probe.reset_stream_at == (0x1D, 0x17F7586D2CB571)
    assert probe.flow_control.data == 10240
    assert probe.as_json()["drafts"] == ["14", "02"]


def test_alpn_mismatch_is_classified() -> None:
    with pytest.raises(ConnectFailed) as caught:
        World().connect(quic={"alpn": ("foo",)})
    assert caught.value.reason_class == "alpn"


def test_unverified_certificate_is_classified() -> None:
    with pytest.raises(ConnectFailed) as caught:
        World().connect(quic={"insecure": False})
    assert caught.value.reason_class == "tls"


def test_silence_is_classified() -> None:
    world = World()
    world.opener.network.detach(world.server)
    with pytest.raises(ConnectFailed) as caught:
        world.connect()
    assert caught.value.reason_class == "timeout"


def test_missing_settings_are_classified() -> None:
    class Mute(Behaviour):
        def control_stream(self) -> bytes:
            return b""

    with pytest.raises(ConnectFailed) as caught:
        World(Mute()).connect()
    assert caught.value.reason_class == "no-settings"


def test_close_by_the_other_side_is_classified() -> None:
    with pytest.raises(ConnectFailed) as caught:
        World().connect(extra_settings=((0x02, 1),), before_settings=b"", quic={})
    assert caught.value.reason_class == "closed"
    assert caught.value.close is not None
    assert caught.value.close.error_code == H3.SETTINGS_ERROR


def test_observer_sees_both_directions() -> None:
    peer: Peer = World().connect()
    session = peer.establish()
    session.open_uni(b"x", end_stream=True)
    assert peer.wait(lambda: bool(session.incoming) and session.incoming[0].ended)
    assert {(event.sent, event.header_length) for event in peer.events.of(WtStream)} == {
        (True, 3),
        (False, 3),
    }
    assert len(peer.events.of(FieldSection)) == 2
    assert peer.events.of(StreamReset) == []
