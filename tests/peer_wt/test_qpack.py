"""Field sections: the samples of RFC 9204 §B, round trips, and lies that have to be noticed."""

from __future__ import annotations

import pylsqpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.peer import qpack
from conformance.peer.qpack import Blocked, QpackError, SectionDecoder, SectionEncoder

FIELDS = st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=200)), max_size=10)


def test_literal_with_name_reference_of_rfc9204_b1() -> None:
    section = qpack.section_prefix() + qpack.static_name_reference(1, b"/index.html")
    assert section == bytes.fromhex("0000510b2f696e6465782e68746d6c")
    assert SectionDecoder().decode(0, section)[0] == [(b":path", b"/index.html")]


def test_dynamic_table_of_rfc9204_b2() -> None:
    instructions = (
        qpack.set_capacity(220)
        + qpack.insert_static_name(0, b"www.example.com")
        + qpack.insert_static_name(1, b"/sample/path")
    )
    assert instructions == bytes.fromhex(
        "3fbd01" + "c00f7777772e6578616d706c652e636f6d" + "c10c2f73616d706c652f70617468"
    )
    decoder = SectionDecoder(max_table_capacity=220, blocked_streams=1)
    section = bytes.fromhex("03811011")
    with pytest.raises(Blocked):
        decoder.decode(4, section)
    assert decoder.feed(instructions) == [4]
    fields, acknowledgment = decoder.resume(4)
    assert fields == [(b":authority", b"www.example.com"), (b":path", b"/sample/path")]
    assert acknowledgment == qpack.section_acknowledgment(4) == bytes.fromhex("84")


def test_speculative_insert_of_rfc9204_b3() -> None:
    assert qpack.insert_literal(b"custom-key", b"custom-value") == bytes.fromhex(
        "4a637573746f6d2d6b65790c637573746f6d2d76616c7565"
    )
    assert qpack.insert_count_increment(1) == b"\x01"


def test_duplicate_and_cancellation_of_rfc9204_b4() -> None:
    assert qpack.duplicate(2) == b"\x02"
    assert qpack.stream_cancellation(8) == b"\x48"


# RFC 7541 §C.1.1 to §C.1.3.
@pytest.mark.parametrize(("value", "bits", "encoded"), [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")])
def test_prefix_integers_of_rfc7541(value: int, bits: int, encoded: str) -> None:
    assert qpack.prefix_integer(value, bits).hex() == encoded


@given(st.integers(0, (1 << 62) - 1), st.integers(1, 8), st.integers(0, 3))
def test_prefix_integer_round_trip(value: int, bits: int, padding: int) -> None:
    encoded = qpack.prefix_integer(value, bits, padding=padding)
    assert qpack.read_prefix_integer(encoded, bits) == (value, len(encoded))
    assert all(qpack.read_prefix_integer(encoded[:cut], bits) is None for cut in range(len(encoded)))


@pytest.mark.parametrize("name", qpack.ENCODERS)
@given(fields=FIELDS)
def test_encoders_round_trip(name: str, fields: list[qpack.Field]) -> None:
    assert SectionDecoder().decode(0, qpack.ENCODERS[name](fields)) == (fields, b"")


def test_literal_has_no_references_and_no_huffman() -> None:
    assert qpack.encode_literal([(b"ab", b"c")]) == bytes.fromhex("0000" + "226162" + "0163")


LIES = {
    "static index 99": qpack.section_prefix() + qpack.indexed_static(99),
    "impossible insert count": qpack.section_prefix(200),
    "insert count with capacity 0": qpack.section_prefix(1),
    "dynamic reference without entries": qpack.section_prefix() + qpack.indexed_dynamic(0),
    "cut literal": qpack.encode_literal([(b"ab", b"c")])[:-1],
    "string longer than the section": qpack.section_prefix() + b"\x51" + qpack.prefix_integer(1 << 40, 7),
    "prefix only half": b"\x00",
}


@pytest.mark.parametrize("section", LIES.values(), ids=LIES)
def test_lies_are_noticed(section: bytes) -> None:
    with pytest.raises(QpackError):
        SectionDecoder().decode(0, section)


@given(st.binary(max_size=100))
def test_decoder_takes_anything(data: bytes) -> None:
    decoder = SectionDecoder(max_table_capacity=4096, blocked_streams=1)
    try:
        decoder.decode(0, data)
    except (Blocked, QpackError):
        return


@given(st.binary(max_size=100))
def test_encoder_stream_takes_anything(data: bytes) -> None:
    decoder = SectionDecoder(max_table_capacity=4096, blocked_streams=1)
    try:
        decoder.feed(data)
    except QpackError:
        return


# --- references (RFC 9204 §2.2.3, §4.5.1.2) ---

BASES = [
    pytest.param(0, False, [0], [], id="base-is-count"),
    pytest.param(2, False, [2], [0, 1], id="base-above-count"),
    pytest.param(1, True, [0], [], id="base-below-count"),
]
VALUE = qpack.prefix_integer(1, 7) + b"v"


@pytest.mark.parametrize(("delta", "sign", "within", "beyond"), BASES)
def test_relative_references_are_compared_with_the_insert_count(
    delta: int, sign: bool, within: list[int], beyond: list[int]
) -> None:
    prefix = qpack.section_prefix(3, delta, sign=sign)
    for indices, expected in ((within, False), (beyond, True)):
        for index in indices:
            named = qpack.prefix_integer(index, 4, 0x40) + VALUE
            for line in (qpack.indexed_dynamic(index), named):
                section = prefix + qpack.literal(b"name", b"value") + line + qpack.indexed_static(99)
                assert qpack.refers_beyond_insert_count(section) is expected


@pytest.mark.parametrize(
    ("delta", "sign", "index", "expected"),
    [(0, False, 0, True), (0, True, 0, False), (0, True, 1, True), (3, True, 3, False), (3, True, 4, True)],
)
def test_post_base_references_are_compared_with_the_insert_count(
    delta: int, sign: bool, index: int, expected: bool
) -> None:
    prefix = qpack.section_prefix(5, delta, sign=sign)
    for line in (qpack.indexed_post_base(index), qpack.prefix_integer(index, 3) + VALUE):
        assert qpack.refers_beyond_insert_count(prefix + line) is expected


def test_one_line_beyond_the_insert_count_is_enough() -> None:
    """The library notices it only where no other line needs as many entries as the section declares."""
    decoder = SectionDecoder(max_table_capacity=220, blocked_streams=1)
    decoder.feed(
        qpack.set_capacity(220) + qpack.insert_literal(b"a", b"1") + qpack.insert_literal(b"b", b"2")
    )
    both = qpack.indexed_dynamic(1) + qpack.indexed_dynamic(0)
    for required, base in ((1, 1), (0, 2)):
        count = qpack.encoded_insert_count(required, 220)
        with pytest.raises(QpackError):
            decoder.decode(4, qpack.section_prefix(count, base) + both)
    assert decoder.decode(4, qpack.section_prefix(qpack.encoded_insert_count(2, 220)) + both)[0] == [
        (b"a", b"1"),
        (b"b", b"2"),
    ]


@given(st.binary(max_size=100))
def test_references_are_looked_for_in_any_bytes(section: bytes) -> None:
    assert qpack.refers_beyond_insert_count(section) in (True, False)


@given(st.lists(FIELDS, max_size=6))
def test_an_encoder_that_is_not_ours_keeps_to_its_insert_counts(sections: list[list[qpack.Field]]) -> None:
    encoder = pylsqpack.Encoder()
    encoder.apply_settings(4096, 16)
    for stream_id, fields in enumerate(sections):
        section = encoder.encode(4 * stream_id, fields)[1]
        assert not qpack.refers_beyond_insert_count(section)


# RFC 9204 §4.5.1.1: a table of 100 bytes counts modulo 6, and 9 is encoded as 4.
def test_the_insert_count_of_rfc9204() -> None:
    assert qpack.encoded_insert_count(9, 100) == 4
    assert qpack.encoded_insert_count(0, 100) == 0
    assert qpack.encoded_insert_count(6, 100) == 1


@given(st.lists(FIELDS, max_size=8), st.sampled_from([0, 64, 220, 4096]), st.integers(0, 3))
def test_what_the_encoder_writes_is_decoded(
    sections: list[list[qpack.Field]], capacity: int, blocked_streams: int
) -> None:
    encoder = SectionEncoder(max_table_capacity=capacity, blocked_streams=blocked_streams)
    decoder = SectionDecoder(max_table_capacity=capacity, blocked_streams=blocked_streams)
    for stream_id, fields in enumerate(sections):
        instructions, section = encoder.encode(4 * stream_id, fields)
        assert decoder.feed(instructions) == []
        decoded, acknowledgment = decoder.decode(4 * stream_id, section)
        assert decoded == fields
        encoder.feed(acknowledgment)


@pytest.mark.parametrize("blocked_streams", [0, 1, 2])
def test_the_encoder_risks_as_many_blocked_streams_as_it_may(blocked_streams: int) -> None:
    encoder = SectionEncoder(max_table_capacity=4096, blocked_streams=blocked_streams)
    sections = [encoder.encode(4 * number, [(b"x-name", b"value")])[1] for number in range(6)]
    assert sum(section[0] != 0 for section in sections) == blocked_streams


@pytest.mark.parametrize(
    "instruction", [qpack.insert_count_increment(0), qpack.insert_count_increment(1), b"\x84"]
)
def test_the_encoder_is_told_of_nothing_that_it_did_not_send(instruction: bytes) -> None:
    encoder = SectionEncoder(max_table_capacity=4096, blocked_streams=0)
    encoder.feed(qpack.stream_cancellation(4))
    with pytest.raises(QpackError):
        encoder.feed(instruction)
