"""Raw frames, filters, transport parameters and the exporter: what makes the peer malleable."""

from __future__ import annotations

import pytest

from conformance.peer import events as wire
from conformance.peer.quic import Epoch, frames
from conformance.peer.quic.options import Address
from tests.peer_quic.support import CLIENT, SERVER, Pair, frame_names, received, sent, stream_bytes


def test_raw_frames_travel_alone_and_are_acknowledged() -> None:
    pair = Pair().connect()
    payload = frames.stream(8, b"raw", fin=True) + frames.max_data(2**40)
    injection = pair.client.inject_frames(payload, packet_padding=7)
    assert not injection.acked and not pair.client.acked()
    assert pair.run(lambda: injection.acked, 0.1)
    assert pair.client.acked() and injection.times_sent == 1
    assert stream_bytes(pair.served, 8) == b"raw"
    packets = [event for event in received(pair.served, wire.QuicFrame) if event.frame_name == "max_data"]
    number = packets[-1].packet_number
    names = [e.frame_name for e in received(pair.served, wire.QuicFrame) if e.packet_number == number]
    assert names[-3:] == ["stream", "max_data", "padding"]


def test_a_lost_injection_is_sent_again_until_it_is_acknowledged() -> None:
    pair = Pair().connect()
    lost = [0]

    def fate(_data: bytes, source: Address, _destination: Address, _now: float) -> tuple[float, ...]:
        if source == CLIENT and lost[0] < 3:
            lost[0] += 1
            return ()
        return (0.005,)

    pair.network.fate = fate
    injection = pair.client.inject_frames(frames.stream(0, b"once", fin=True))
    assert pair.run(lambda: injection.acked, 20.0)
    assert lost[0] == 3 and injection.times_sent > 1
    assert stream_bytes(pair.served, 0) == b"once"


def test_what_is_not_ack_eliciting_gets_a_ping() -> None:
    pair = Pair().connect()
    injection = pair.client.inject_frames(b"\x00\x00")
    assert pair.run(lambda: injection.acked, 0.1)
    assert injection.payload == b"\x00\x00\x01\x00"
    assert "ping" in frame_names(pair.seen, are_sent=True)


def test_stream_data_queued_before_goes_first_and_data_queued_after_goes_later() -> None:
    pair = Pair().connect()
    pair.client.send_stream(2, b"x" * 3000)
    pair.client.inject_frames(frames.stop_sending(1, 5) + frames.ping())
    pair.settle(0.001)
    names = [event.frame_name for event in sent(pair.seen, wire.QuicFrame)]
    assert names.index("stop_sending") > max(i for i, name in enumerate(names) if name == "stream")
    pair = Pair().connect()
    pair.client.inject_frames(frames.stream(6, b"first"))
    pair.client.send_stream(2, b"second")
    pair.settle(0.001)
    data = [e.details["stream_data"] for e in sent(pair.seen, wire.QuicFrame) if e.frame_name == "stream"]
    assert data == [b"first", b"second"]


def test_answers_on_an_injected_stream_are_delivered() -> None:
    pair = Pair(echo=True).connect()
    pair.client.inject_frames(frames.stream(4, b"hello", fin=True))
    assert pair.run(lambda: stream_bytes(pair.seen, 4) == b"hello")
    assert pair.client.closed is None


@pytest.mark.parametrize("epoch", [Epoch.INITIAL, Epoch.HANDSHAKE])
def test_injection_into_handshake_packets(epoch: Epoch) -> None:
    pair = Pair()
    pair.client.inject_frames(b"\x1e", epoch=epoch)  # HANDSHAKE_DONE, never allowed there
    pair.client.connect(SERVER, 0.0)
    assert pair.run(lambda: bool(pair.accepted) and pair.server.closed is not None)
    closed = pair.server.closed
    assert closed is not None and (closed.by, closed.error_code) == ("local", 0x0A)


def test_payloads_that_fit_no_packet_are_refused() -> None:
    pair = Pair().connect()
    for payload in (b"", b"\x01" + bytes(1200)):
        with pytest.raises(ValueError, match="must"):
            pair.client.inject_frames(payload)


def test_the_frame_filter_replaces_and_loses_packets() -> None:
    pair = Pair().connect()
    state = {"lost": 0}

    def alter(payload: bytes) -> bytes | None:
        if b"secret" in payload and state["lost"] < 2:
            state["lost"] += 1
            return None
        return payload.replace(b"secret", b"SECRET")

    pair.client.frame_filter = alter
    pair.client.send_stream(2, b"a secret", end_stream=True)
    assert pair.run(pair.client.acked, 20.0)
    assert state["lost"] == 2
    assert stream_bytes(pair.served, 2) == b"a SECRET"
    assert pair.client.frame_filter is alter
    pair.client.frame_filter = lambda payload: payload + bytes(1200)
    pair.client.send_ping()
    with pytest.raises(ValueError, match="frame filter"):
        pair.settle()


def test_the_packet_filter_drops_doubles_and_corrupts() -> None:
    pair = Pair(echo=True).connect()
    turn = iter(range(1000))

    def alter(data: bytes, _address: Address) -> list[bytes]:
        number = next(turn)
        if number % 3 == 0:
            return []
        broken = data[:-1] + bytes([data[-1] ^ 1])
        return [broken, data, data]

    pair.client.packet_filter = alter
    pair.client.send_stream(0, b"z" * 20_000, end_stream=True)
    assert pair.run(lambda: stream_bytes(pair.seen, 0) == b"z" * 20_000, 60.0)
    assert pair.server.closed is None


def test_transport_parameters_can_be_added_replaced_and_omitted() -> None:
    pair = Pair(
        client={
            "extra_transport_parameters": {0x3A5B: b"grease", 0x04: b"\x00", 0x1D: b"\x01"},
            "reset_stream_at": (0x1D,),
            "max_datagram_frame_size": None,
            "omitted_transport_parameters": frozenset({0x01}),
        }
    ).connect()
    parameters = pair.server.peer_transport_parameters
    assert parameters[0x3A5B] == b"grease" and parameters[0x04] == b"\x00" and parameters[0x1D] == b"\x01"
    assert not {0x20, 0x01, 0x17F7586D2CB571} & set(parameters)
    (ours,) = sent(pair.seen, wire.TransportParameters)
    (theirs,) = received(pair.served, wire.TransportParameters)
    assert ours.parameters == theirs.parameters == parameters
    assert pair.server.closed is None  # judging them is left to the layers above


def test_a_datagram_where_none_was_announced_is_our_own_close() -> None:
    pair = Pair(server={"max_datagram_frame_size": None}).connect()
    pair.client.send_datagram(b"x")
    assert pair.run(lambda: pair.server.closed is not None)
    assert pair.server.closed is not None and pair.server.closed.error_code == 0x0A


@pytest.mark.parametrize("length", [0, 1, 32, 255])
def test_both_sides_export_the_same_keying_material(length: int) -> None:
    pair = Pair()
    with pytest.raises(RuntimeError):
        pair.client.exporter("EXPORTER-WebTransport", b"", length)
    pair.connect()
    ours = pair.client.exporter("EXPORTER-WebTransport", b"context", length)
    assert ours == pair.server.exporter("EXPORTER-WebTransport", b"context", length)
    assert len(ours) == length
    if length >= 32:
        assert ours != pair.client.exporter("EXPORTER-WebTransport", b"other", length)
        assert ours != pair.client.exporter("EXPORTER-Other", b"context", length)
        assert ours != Pair().connect().client.exporter("EXPORTER-WebTransport", b"context", length)


def test_every_packet_and_frame_is_seen_on_both_sides() -> None:
    pair = Pair(echo=True).connect()
    pair.client.send_stream(0, b"x" * 4000, end_stream=True)
    assert pair.run(lambda: len(stream_bytes(pair.seen, 0)) == 4000)
    pair.settle()
    for ours, theirs in ((pair.seen, pair.served), (pair.served, pair.seen)):
        packets_out = [(e.packet_type, e.packet_number, e.size) for e in sent(ours, wire.QuicPacket)]
        packets_in = [(e.packet_type, e.packet_number, e.size) for e in received(theirs, wire.QuicPacket)]
        assert packets_out == packets_in
        frames_out = [(e.packet_number, e.frame_name, e.details) for e in sent(ours, wire.QuicFrame)]
        frames_in = [(e.packet_number, e.frame_name, e.details) for e in received(theirs, wire.QuicFrame)]
        assert frames_out == frames_in
    assert {event.packet_type for event in sent(pair.seen, wire.QuicPacket)} == {
        "initial",
        "handshake",
        "1rtt",
    }
