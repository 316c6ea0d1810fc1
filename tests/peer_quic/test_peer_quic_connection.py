"""Two peers in memory: handshake, streams, datagrams, the end of a connection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.peer import events as wire
from conformance.peer.quic import QuicPeer, ServerHost, StreamNotWritable, certificates, frames
from conformance.peer.quic.transport_parameters import integer
from tests.peer_quic.support import (
    CLIENT,
    SERVER,
    Pair,
    client_options,
    frame_names,
    received,
    sent,
    stream_bytes,
)


def test_the_handshake_reports_protocol_cipher_and_certificate() -> None:
    pair = Pair().connect()
    (done,) = received(pair.seen, wire.HandshakeCompleted)
    assert (done.alpn, done.version, done.early_data_accepted) == ("h3", 1, False)
    assert done.cipher == "AES_128_GCM_SHA256"
    assert pair.client.alpn == pair.server.alpn == "h3"
    assert pair.client.peer_certificate_sha256 == certificates.cached().sha256
    assert pair.client.rtt == pytest.approx(0.01)


def test_time_is_virtual_and_the_run_is_deterministic() -> None:
    def run() -> list[tuple[float, str, bool]]:
        pair = Pair(echo=True).connect()
        # Little enough for no pacing: its rate depends on the length of the certificate's signature.
        for stream in range(0, 200, 4):
            pair.client.send_stream(stream, b"x" * 10, end_stream=True)
        pair.settle(2.0)
        return [(event.time, event.name, event.sent) for event in pair.seen if event.time > 0.03]

    assert run() == run()


@pytest.mark.parametrize("frame_events", [True, False])
def test_streams_are_echoed_in_order_with_their_end(frame_events: bool) -> None:
    pair = Pair(echo=True, client={"frame_events": frame_events}).connect()
    data = bytes(range(256)) * 400
    for expected_id in (0, 4, 8):
        stream = pair.client.next_stream_id(unidirectional=False)
        assert stream == expected_id
        pair.client.send_stream(stream, data)
        pair.client.send_stream(stream, b"end", end_stream=True)
    assert pair.run(lambda: len([e for e in received(pair.seen, wire.StreamData) if e.end_stream]) == 3)
    for stream in (0, 4, 8):
        assert stream_bytes(pair.seen, stream) == data + b"end"
    assert bool(frame_names(pair.seen, are_sent=True)) is frame_events


def test_sent_data_is_reported_when_it_is_queued() -> None:
    pair = Pair().connect()
    stream = pair.client.next_stream_id(unidirectional=True)
    pair.client.send_stream(stream, b"abc", end_stream=True)
    (event,) = sent(pair.seen, wire.StreamData)
    assert (event.stream_id, event.data, event.end_stream) == (2, b"abc", True)


def test_own_streams_can_be_used_in_any_order() -> None:
    pair = Pair(echo=True).connect()
    for stream in (40, 8, 12, 36, 0, 44):
        pair.client.send_stream(stream, b"%d" % stream, end_stream=True)
        assert pair.run(lambda stream=stream: stream_bytes(pair.seen, stream) == b"%d" % stream)  # type: ignore[misc]
    assert pair.client.next_stream_id(unidirectional=False) == 48
    assert pair.client.closed is None and pair.server.closed is None


def test_a_stream_beyond_the_limit_waits_for_credit() -> None:
    pair = Pair(server={"max_streams_uni": 3}).connect()
    for stream in (14, 2, 6, 10):
        pair.client.send_stream(stream, b"x", end_stream=True)
    pair.settle()
    arrived = [event.stream_id for event in received(pair.served, wire.StreamData)]
    # Streams 2, 6 and 10 are within the limit of 3; as they finish, the server grants the fourth.
    assert sorted(arrived) == [2, 6, 10, 14]
    assert arrived[-1] == 14
    assert pair.server.closed is None


def test_a_stream_with_the_highest_number_costs_nothing() -> None:
    pair = Pair().connect()
    pair.client.send_stream(2**62 - 4, b"x")
    pair.client.send_stream(4, b"y")
    assert pair.run(lambda: stream_bytes(pair.served, 4) == b"y")


def test_finished_streams_are_forgotten() -> None:
    pair = Pair(echo=True).connect()
    for _ in range(300):
        stream = pair.client.next_stream_id(unidirectional=False)
        pair.client.send_stream(stream, b"x", end_stream=True)
        assert pair.run(lambda stream=stream: stream_bytes(pair.seen[-40:], stream) == b"x")  # type: ignore[misc]
    assert pair.run(lambda: pair.client.acked() and pair.server.acked())
    assert len(pair.client._engine._streams) <= 1
    assert len(pair.server._engine._streams) <= 1


def test_resets_and_stop_sending_carry_their_codes() -> None:
    pair = Pair().connect()
    stream = pair.client.next_stream_id(unidirectional=False)
    pair.client.send_stream(stream, b"12345")
    assert pair.run(lambda: stream_bytes(pair.served, stream) == b"12345")
    pair.client.reset_stream(stream, 0x107)
    pair.client.stop_sending(stream, 0x10C)
    assert pair.run(lambda: pair.client.acked() and bool(received(pair.seen, wire.StreamReset)))
    (reset,) = received(pair.served, wire.StreamReset)
    assert (reset.error_code, reset.final_size, reset.reliable_size) == (0x107, 5, None)
    (stop,) = received(pair.served, wire.StopSending)
    assert stop.error_code == 0x10C
    # RFC 9000 §3.5: the answer is a RESET_STREAM, with the code copied; it is reported on both sides.
    (answer,) = sent(pair.served, wire.StreamReset)
    assert (answer.error_code, answer.final_size) == (0x10C, 0)
    assert received(pair.seen, wire.StreamReset)[0].error_code == 0x10C
    pair.server.send_stream(stream, b"nobody reads this")
    pair.server.reset_stream(stream, 1)
    pair.settle()
    assert pair.server.closed is None


def test_the_other_side_may_stop_a_stream_that_a_later_one_opened() -> None:
    pair = Pair().connect()
    pair.client.send_stream(8, b"x")
    assert pair.run(lambda: stream_bytes(pair.served, 8) == b"x")
    pair.server.stop_sending(0, 5)  # RFC 9000 §2.1: stream 8 opened 0 and 4 too
    assert pair.run(lambda: bool(received(pair.served, wire.StreamReset)))
    assert (received(pair.seen, wire.StopSending)[0].stream_id, pair.client.closed) == (0, None)
    pair.client.send_stream(4, b"y")
    assert pair.run(lambda: stream_bytes(pair.served, 4) == b"y")


def test_a_fault_inside_aioquic_is_our_own_close(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair().connect()

    def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError("broken")

    monkeypatch.setattr(pair.client._engine, "_payload_received", fail)
    pair.server.send_ping()
    assert pair.run(lambda: pair.server.closed is not None)
    closed = pair.client.closed
    assert closed is not None and (closed.by, closed.error_code) == ("local", 0x01)
    assert closed.reason == "AssertionError in the QUIC engine: broken"


def test_what_arrives_before_the_start_is_ignored() -> None:
    client = QuicPeer(client_options(), lambda _event: None)
    client.receive(bytes(1200), SERVER, 0.0)
    client.handle_timer(0.0)
    client.send_ping()
    assert client.pending(0.0) == [] and client.timer() is None and not client.acked()
    assert client.peer_certificate_sha256 is None and client.alpn is None


def test_misuse_of_a_stream_is_refused() -> None:
    pair = Pair().connect()
    client = pair.client
    client.send_stream(2, b"x", end_stream=True)
    with pytest.raises(StreamNotWritable):
        client.send_stream(2, b"y")
    client.send_stream(6, b"x")
    client.reset_stream(6, 1)
    with pytest.raises(StreamNotWritable):
        client.send_stream(6, b"y")
    with pytest.raises(StreamNotWritable):
        client.send_stream(3, b"y")  # the server's unidirectional stream
    with pytest.raises(StreamNotWritable):
        client.send_stream(1, b"y")  # not opened by the server
    with pytest.raises(StreamNotWritable):
        client.stop_sending(2, 1)
    with pytest.raises(StreamNotWritable):
        client.stop_sending(1, 1)
    with pytest.raises(ValueError, match="at most"):
        client.send_datagram(bytes(client.max_datagram_payload + 1))


def test_datagrams_of_the_largest_size_are_echoed() -> None:
    pair = Pair(echo=True).connect()
    data = bytes(pair.client.max_datagram_payload)
    pair.client.send_datagram(data)
    pair.client.send_datagram(b"")
    assert pair.run(lambda: len(received(pair.seen, wire.DatagramFrame)) == 2)
    assert [event.data for event in received(pair.seen, wire.DatagramFrame)] == [data, b""]


@pytest.mark.parametrize(("frame_type", "early"), [(None, False), (0x08, False), (None, True)])
def test_a_close_by_the_case(frame_type: int | None, early: bool) -> None:
    pair = Pair()
    if early:
        pair.client.connect(SERVER, 0.0)
        assert pair.run(lambda: bool(pair.accepted))
    else:
        pair.connect()
    pair.client.close(0x100, frame_type=frame_type, reason="é" * 1000)
    assert pair.run(lambda: pair.server.closed is not None)
    ours, theirs = pair.client.closed, pair.server.closed
    assert ours is not None and theirs is not None
    assert (ours.by, ours.error_code, ours.frame_type) == ("case", 0x100, frame_type)
    assert theirs.by == "peer"
    if early:  # RFC 9000 §10.2.3: APPLICATION_ERROR in place of the application's close
        assert (theirs.error_code, theirs.frame_type) == (0x0C, 0)
    else:
        assert (theirs.error_code, theirs.frame_type, theirs.reason) == (0x100, frame_type, "é" * 450)
    assert pair.run(lambda: not pair.host.connections and pair.client.terminated)


def test_a_lost_close_is_repeated_when_the_other_side_goes_on() -> None:
    lost: list[bytes] = []
    pair = Pair().connect()

    def lose_first(data: bytes, source: object, _destination: object, _now: float) -> tuple[float, ...]:
        if source == CLIENT and not lost:
            lost.append(data)
            return ()
        return (0.005,)

    pair.network.fate = lose_first
    pair.client.close(7)
    assert not pair.run(lambda: pair.server.closed is not None, 0.02)
    pair.server.send_ping()
    assert pair.run(lambda: pair.server.closed is not None, 0.05)


def test_the_idle_timeout_is_told_from_other_ends() -> None:
    pair = Pair(client={"idle_timeout": 3.0}).connect()
    started = pair.network.now()
    assert pair.run(lambda: pair.client.closed is not None and pair.server.closed is not None, 60.0)
    assert pair.network.now() - started == pytest.approx(3.0, abs=0.1)
    for peer in (pair.client, pair.server):
        assert peer.closed is not None and peer.closed.by == "idle"
    assert pair.run(lambda: not pair.host.connections)


def test_a_violation_of_our_limits_is_our_own_close() -> None:
    pair = Pair().connect()
    pair.client.inject_frames(frames.stream(0, b"x", offset=2**40))
    assert pair.run(lambda: pair.client.closed is not None)
    closed = pair.server.closed
    assert closed is not None
    assert (closed.by, closed.error_code, closed.frame_type, closed.sent) == ("local", 0x03, 0x0E, True)
    assert pair.client.closed is not None and pair.client.closed.by == "peer"


def test_limits_are_announced_and_can_be_frozen() -> None:
    limits = {"max_data": 5000, "max_stream_data": 1000, "max_streams_bidi": 7, "max_streams_uni": 0}
    pair = Pair(server={**limits, "raise_limits": False}).connect()
    parameters = pair.client.peer_transport_parameters
    announced = [integer(parameters[code]) for code in (4, 5, 6, 7, 8, 9)]
    assert announced == [5000, 1000, 1000, 1000, 7, 0]
    pair.client.send_stream(0, b"x" * 3000)
    pair.settle(5.0)
    assert len(stream_bytes(pair.served, 0)) == 1000
    assert pair.server.closed is None


def test_a_stateless_reset_is_recognised() -> None:
    pair = Pair().connect()
    token = pair.client.peer_transport_parameters[0x02]
    pair.client.receive(b"\x40" + bytes(30) + token, SERVER, pair.network.now())
    assert pair.client.closed is not None and pair.client.closed.by == "stateless_reset"
    assert pair.run(lambda: pair.client.terminated)


def test_a_certificate_of_unknown_origin_is_refused() -> None:
    other = certificates.self_signed()
    pair = Pair(client={"ca_data": other.pem})
    pair.client.connect(SERVER, 0.0)
    assert pair.run(lambda: pair.client.closed is not None)
    closed = pair.client.closed
    assert closed is not None and closed.by == "local" and closed.error_code >> 8 == 1  # CRYPTO_ERROR


def test_no_common_application_protocol() -> None:
    pair = Pair(client={"alpn": ("hq-interop",)})
    pair.client.connect(SERVER, 0.0)
    assert pair.run(lambda: pair.client.closed is not None)
    closed = pair.client.closed
    assert closed is not None
    assert (closed.by, closed.error_code) == ("peer", 0x100 + 120)  # no_application_protocol


def test_without_an_application_protocol_and_a_server_name() -> None:
    pair = Pair(client={"alpn": (), "server_name": None}, server={"alpn": ()}).connect()
    assert pair.client.alpn is None


def test_a_client_follows_version_negotiation() -> None:
    pair = Pair(client={"versions": (0x1A2A3A4A, 1)}).connect()
    packets = [event.packet_type for event in received(pair.seen, wire.QuicPacket)]
    assert packets[0] == "version_negotiation"
    (done,) = received(pair.seen, wire.HandshakeCompleted)
    assert done.version == 1


def test_larger_packets_carry_larger_datagrams() -> None:
    sizes = {"max_datagram_size": 8000}
    pair = Pair(echo=True, client=sizes, server=sizes).connect()
    assert pair.client.max_datagram_payload > 7900
    pair.client.send_datagram(bytes(pair.client.max_datagram_payload))
    assert pair.run(lambda: bool(received(pair.seen, wire.DatagramFrame)))


def test_calls_on_a_connection_that_is_over_have_no_effect() -> None:
    pair = Pair().connect()
    stream = pair.client.next_stream_id(unidirectional=False)
    pair.client.close(0)
    before = len(pair.seen)
    pair.client.send_stream(stream, b"x")
    pair.client.reset_stream(stream, 1)
    pair.client.stop_sending(stream, 1)
    pair.client.send_datagram(b"x")
    pair.client.send_ping()
    assert not pair.client.inject_frames(frames.ping()).acked
    pair.client.close(5)
    assert len(pair.seen) == before
    assert pair.client.closed is not None and pair.client.closed.error_code == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=1300), max_size=6), st.integers(0, 255))
def test_garbage_never_raises(datagrams: list[bytes], first: int) -> None:
    pair = Pair()
    pair.client.connect(SERVER, 0.0)
    for data in datagrams:
        for changed in (data, bytes([first]) + data, b"\xc0\0\0\0\x01" + data.ljust(1200, b"\0")):
            pair.client.receive(changed, SERVER, 0.0)
            pair.host.receive(changed, CLIENT, 0.0)
    pair.settle(0.1)
    assert pair.client.closed is None


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.booleans())
def test_any_frames_end_in_a_close_at_worst(payload: bytes, from_server: bool) -> None:
    pair = CONNECTED if CONNECTED.client.closed is None and CONNECTED.server.closed is None else _renew()
    (pair.server if from_server else pair.client).inject_frames(payload)
    pair.settle(0.05)
    for peer in (pair.client, pair.server):
        assert peer.closed is None or "QUIC engine" not in peer.closed.reason


CONNECTED = Pair().connect()


def _renew() -> Pair:
    global CONNECTED
    CONNECTED = Pair().connect()
    return CONNECTED


def test_options_of_a_server_need_a_certificate() -> None:
    with pytest.raises(ValueError, match="certificate"):
        ServerHost(client_options(), lambda _peer: lambda _event: None)
