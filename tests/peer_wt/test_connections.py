"""Connections: negotiation of drafts, order of arrival, QPACK, early data, failure, shutdown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.peer import qpack
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3, Setting
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.events import FieldSection, QuicFrame, StreamReset, WtStream
from conformance.peer.h3frames import headers_frame
from conformance.peer.model import Behaviour
from conformance.peer.options import ConnectFailed, PeerOptions, SessionRefused
from conformance.peer.probe import probe_draft
from conformance.peer.session import Session
from tests.peer_wt.support import ALL_LIMITS, World

ALL_DRAFTS = pytest.mark.parametrize("draft", DRAFTS)
BYTES = bytes(range(256)) * 4
# Bytes that begin like something: frame and stream types, capsules, settings.
PREFIXES = ("", "00", "01", "04", "07", "4054", "4041", "00106843")
PREFIX = st.sampled_from([bytes.fromhex(text) for text in PREFIXES])
KINDS = st.sampled_from(["uni", "bidi", "datagram", "control", "session"])
DATA = st.builds(bytes.__add__, PREFIX, st.binary(max_size=40))


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


def test_request_in_early_data_waits_for_the_handshake() -> None:
    world = World()
    first = world.connect()
    assert first.wait(lambda: bool(first.quic.session_tickets))
    first.close()
    options = PeerOptions(quic={"session_ticket": first.quic.session_tickets[0]})
    peer = Peer(world.opener, Draft.D16, options)
    peer.start_h3()
    session = peer.request_session(peer.connect_request_fields())
    assert peer.wait(lambda: session.established)
    assert peer.quic.early_data_accepted
    frames = peer.events.of(QuicFrame, sent=True)
    request = next(event for event in frames if event.details.get("stream_id") == 0)
    assert request.packet_type == "0rtt"
    assert peer.peer_settings == first.peer_settings


def test_incomplete_request_is_reset() -> None:
    peer = World().connect()
    stream = peer.open_bidi(b"\x01\x20")
    peer.wait(peer.quic.acked)
    stream.reset(H3.REQUEST_CANCELLED)
    assert peer.wait(lambda: stream.reset_event is not None)
    assert stream.reset_event is not None
    assert stream.reset_event.error_code == H3.REQUEST_INCOMPLETE


def test_capsules_after_a_refusal_are_dropped() -> None:
    peer = World().connect()
    session = peer.request_session(peer.connect_request_fields("/reject"))
    assert peer.wait(lambda: session.ended)
    for _ in range(4):
        session.send_capsule_bytes(bytes(20000))
    assert peer.fence().held
    assert session.stop_event is None


def test_shutdown_of_the_server() -> None:
    world = World()
    peer = world.connect()
    session = peer.establish()
    world.server.shut_down()
    assert peer.wait(lambda: bool(peer.goaways))
    assert peer.fence(session).held
    session.close()
    peer.wait(lambda: False)
    assert peer.closed is not None
    assert (peer.closed.by, peer.closed.error_code) == ("peer", H3.NO_ERROR)


def test_arbitrary_bytes_on_all_kinds_of_streams() -> None:
    """Whatever arrives, the server reacts by its rules and goes on serving others."""
    world = World()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(KINDS, DATA), max_size=6))
    def run(actions: list[tuple[str, bytes]]) -> None:
        peer = world.connect()
        session = peer.establish()
        assert peer.control is not None
        for kind, data in actions:
            match kind:
                case "uni":
                    peer.open_uni(data, end_stream=len(data) % 2 == 0)
                case "bidi":
                    peer.open_bidi(data, end_stream=len(data) % 2 == 0)
                case "datagram":
                    peer.send_datagram_raw(data)
                case "control":
                    peer.control.send(data)
                case _:
                    session.send(data)
        peer.wait(peer.quic.acked)
        peer.wait(lambda: False, 0.1)
        assert peer.closed is None or (peer.closed.by == "peer" and peer.closed.application), peer.closed
        peer.close()

    run()
    assert world.connect().establish().established
