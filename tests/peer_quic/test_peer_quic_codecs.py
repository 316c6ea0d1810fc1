"""Frame and transport parameter codecs, bytes derived from the text by hand."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.peer.quic import frames, transport_parameters

CODE = "application_protocol_error_code"
GOLDEN = [
    # RFC 9000 §19.4: type 0x04, stream 4, code 0x0100 (two bytes, 0x40 prefix), final size 5
    ("04 04 4100 05", 0x04, "reset_stream", {"stream_id": 4, CODE: 0x100, "final_size": 5}),
    # §19.5
    ("05 08 07", 0x05, "stop_sending", {"stream_id": 8, CODE: 7}),
    # §19.3: largest 10, delay 1, one more range, first range 2 (8..10), gap 1 (largest 8-1-2=5), length 3
    (
        "02 0a 01 01 02 01 03",
        0x02,
        "ack",
        {"largest_acknowledged": 10, "ack_delay": 1, "ack_ranges": "8-10,2-5"},
    ),
    # §19.8: OFF, LEN and FIN
    ("0f 03 02 03 616263", 0x0F, "stream", {"stream_id": 3, "offset": 2, "stream_data": b"abc", "fin": 1}),
    # §19.8: no LEN, the data extends to the end of the packet
    ("08 00 6162", 0x08, "stream", {"stream_id": 0, "stream_data": b"ab", "fin": 0}),
    # §19.19: code 0x0a, frame type 0x08, reason "no"
    (
        "1c 0a 08 02 6e6f",
        0x1C,
        "connection_close",
        {"error_code": 10, "frame_type": 8, "reason_phrase": b"no"},
    ),
    ("1d 4100 00", 0x1D, "connection_close", {"error_code": 256, "reason_phrase": b""}),
    # draft-ietf-quic-reliable-stream-reset-10 §4
    (
        "24 04 4100 0a 05",
        0x24,
        "reset_stream_at",
        {"stream_id": 4, CODE: 256, "final_size": 10, "reliable_size": 5},
    ),
    # RFC 9221 §4
    ("30 6162", 0x30, "datagram", {"datagram_data": b"ab"}),
    ("31 01 61", 0x31, "datagram", {"datagram_data": b"a"}),
    ("13 44 00", 0x13, "max_streams_uni", {"maximum_streams": 0x400}),
]


@pytest.mark.parametrize(("text", "frame_type", "name", "details"), GOLDEN, ids=[row[2] for row in GOLDEN])
def test_known_bytes_of_each_kind_of_frame(
    text: str, frame_type: int, name: str, details: frames.Details
) -> None:
    assert list(frames.parse_frames(bytes.fromhex(text))) == [frames.Frame(frame_type, name, details)]


def test_padding_is_one_frame_and_others_follow() -> None:
    assert [(frame.name, frame.details) for frame in frames.parse_frames(b"\0\0\0\x01\x1e\0")] == [
        ("padding", {"length": 3}),
        ("ping", {}),
        ("handshake_done", {}),
        ("padding", {"length": 1}),
    ]


@pytest.mark.parametrize(("payload", "frame_type"), [(b"\x04\x01", 4), (b"\x3f\x00", 0x3F), (b"\xc0", -1)])
def test_what_cannot_be_parsed_becomes_a_last_malformed_frame(payload: bytes, frame_type: int) -> None:
    first, last = frames.parse_frames(b"\x01" + payload)
    assert first.name == "ping"
    assert (last.name, last.frame_type, last.details["data"]) == ("malformed", frame_type, payload)


@settings(deadline=None)
@given(st.binary(max_size=1400))
def test_parsing_any_bytes_ends_without_raising(payload: bytes) -> None:
    parsed = list(frames.parse_frames(payload))
    assert all(frame.name != frames.MALFORMED for frame in parsed[:-1])
    assert len(parsed) <= len(payload)


VARINT = st.integers(0, 2**62 - 1)


@settings(deadline=None)
@given(VARINT, VARINT, VARINT, VARINT, st.binary(max_size=50))
def test_encoders_and_parser_agree(a: int, b: int, c: int, d: int, data: bytes) -> None:
    payload = (
        frames.reset_stream_at(a, b, c, d)
        + frames.reset_stream(a, b, c)
        + frames.stop_sending(a, b)
        + frames.stream(a, data, offset=b, fin=True)
        + frames.datagram(data)
        + frames.max_data(a)
        + frames.max_stream_data(a, b)
        + frames.max_streams(a, unidirectional=True)
        + frames.ping()
    )
    details = [tuple(frame.details.values()) for frame in frames.parse_frames(payload)]
    expected: list[tuple[object, ...]] = [(a, b, c, d), (a, b, c), (a, b), (a, b, data, 1), (data,)]
    assert details == [*expected, (a,), (a, b), (a,), ()]


@pytest.mark.parametrize(
    ("payload", "eliciting"),
    [(b"\x01", True), (b"\0", False), (b"\x02\0\0\0\0", False), (b"\x1d\0\0", False), (b"\x24", True)],
)
def test_ack_eliciting_frames(payload: bytes, eliciting: bool) -> None:
    assert frames.is_ack_eliciting(payload) is eliciting


PARAMETERS = st.lists(st.tuples(VARINT, st.binary(max_size=40)), max_size=12)


@settings(deadline=None)
@given(PARAMETERS)
def test_transport_parameters_survive_a_round_trip_with_order_and_duplicates(
    parameters: list[tuple[int, bytes]],
) -> None:
    assert transport_parameters.parse(transport_parameters.encode(parameters)) == parameters


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_transport_parameters_of_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    with contextlib.suppress(transport_parameters.MalformedParameters):
        transport_parameters.parse(data)


def test_amending_replaces_appends_and_omits() -> None:
    data = transport_parameters.encode([(1, b"a"), (2, b"b"), (3, b"c")])
    amended = transport_parameters.amend(data, extra={2: b"x", 9: b"y"}, omitted={3})
    # identifier, length, value: RFC 9000 §18
    assert amended == bytes.fromhex("010161 020178 090179")


@pytest.mark.parametrize(("value", "number"), [(b"\x40\x19", 25), (b"", None), (b"\x01\x02", None)])
def test_integer_parameters(value: bytes, number: int | None) -> None:
    assert transport_parameters.integer(value) == number
