"""Instructions of QPACK: the samples of RFC 9204 §B, and everything that can be written is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.peer import qpack
from conformance.peer.qpack_streams import Instruction, decoder_instructions, encoder_instructions

NUMBERS = st.integers(0, (1 << 62) - 1)
STRINGS = st.binary(max_size=300)
ENCODER = st.one_of(
    NUMBERS.map(lambda value: Instruction("capacity", value, qpack.set_capacity(value))),
    NUMBERS.map(lambda value: Instruction("duplicate", value, qpack.duplicate(value))),
    st.builds(lambda i, v: Instruction("insert", i, qpack.insert_static_name(i, v)), NUMBERS, STRINGS),
    st.builds(lambda n, v: Instruction("insert", len(n), qpack.insert_literal(n, v)), STRINGS, STRINGS),
)
DECODER = st.one_of(
    NUMBERS.map(lambda value: Instruction("acknowledgment", value, qpack.section_acknowledgment(value))),
    NUMBERS.map(lambda value: Instruction("cancellation", value, qpack.stream_cancellation(value))),
    NUMBERS.map(lambda value: Instruction("increment", value, qpack.insert_count_increment(value))),
)


def test_instructions_of_rfc9204_b2_to_b5() -> None:
    encoder = bytes.fromhex(
        "3fbd01"
        "c00f7777772e6578616d706c652e636f6d"
        "c10c2f73616d706c652f70617468"
        "4a637573746f6d2d6b65790c637573746f6d2d76616c7565"
        "02"
        "810d637573746f6d2d76616c756532"
    )
    found = [(item.kind, item.value, len(item.encoded)) for item in encoder_instructions(encoder)]
    assert found == [
        ("capacity", 220, 3),
        ("insert", 0, 17),
        ("insert", 1, 14),
        ("insert", 10, 24),
        ("duplicate", 2, 1),
        ("insert", 1, 15),
    ]
    decoder = decoder_instructions(bytes.fromhex("840148"))
    assert [(item.kind, item.value) for item in decoder] == [
        ("acknowledgment", 4),
        ("increment", 1),
        ("cancellation", 8),
    ]


@given(st.lists(ENCODER, max_size=5))
def test_encoder_instructions_are_read_as_written(written: list[Instruction]) -> None:
    assert encoder_instructions(b"".join(item.encoded for item in written)) == written


@given(st.lists(DECODER, max_size=5))
def test_decoder_instructions_are_read_as_written(written: list[Instruction]) -> None:
    assert decoder_instructions(b"".join(item.encoded for item in written)) == written


@given(st.lists(ENCODER, min_size=1, max_size=3), st.integers(1, 400))
def test_what_is_cut_is_left_out(written: list[Instruction], missing: int) -> None:
    data = b"".join(item.encoded for item in written)
    found = encoder_instructions(data[: max(0, len(data) - missing)])
    assert found == written[: len(found)] and len(found) < len(written)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_a_word(data: bytes) -> None:
    for read in (encoder_instructions, decoder_instructions):
        assert data.startswith(b"".join(item.encoded for item in read(data)))
