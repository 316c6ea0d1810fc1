"""Codecs against bytes derived from the texts, and round trips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.peer import capsules, errorcodes
from conformance.peer.codepoints import CapsuleType, FrameType, is_reserved, reserved
from conformance.peer.datagrams import datagram, parse_datagram
from conformance.peer.h3frames import data_frame, frame, frame_parser, goaway_frame
from conformance.peer.settings import encode_settings, parse_settings
from conformance.peer.tlv import Chunk, End, Opaque, Rest, Start, TlvParser
from conformance.peer.varint import LENGTHS, MAX_VARINT, read_varint, read_whole_varint, varint
from conformance.peer.wtheaders import bidi_header, uni_header

VARINTS = st.integers(0, MAX_VARINT)

# RFC 9000 §A.1.
SAMPLES = {
    "c2197c5eff14e88c": 151_288_809_941_952_652,
    "9d7f3e7d": 494_878_333,
    "7bbd": 15_293,
    "25": 37,
}


@pytest.mark.parametrize(("encoded", "value"), SAMPLES.items())
def test_varint_samples_of_rfc9000(encoded: str, value: int) -> None:
    assert varint(value).hex() == encoded
    assert read_varint(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


def test_varint_longer_encoding_of_rfc9000() -> None:
    assert varint(37, 2) == bytes.fromhex("4025")
    assert read_varint(bytes.fromhex("4025")) == (37, 2)


@given(VARINTS, st.sampled_from(LENGTHS), st.binary(max_size=3))
def test_varint_round_trip(value: int, length: int, rest: bytes) -> None:
    if value >= 1 << (8 * length - 2):
        with pytest.raises(ValueError):
            varint(value, length)
        return
    encoded = varint(value, length)
    assert len(encoded) == length
    assert read_varint(encoded + rest) == (value, length)
    assert all(read_varint(encoded[:cut]) is None for cut in range(length))
    assert (read_whole_varint(encoded + rest) == value) is (not rest)


@pytest.mark.parametrize("value", [-1, 1 << 62])
def test_varint_out_of_range(value: int) -> None:
    with pytest.raises(ValueError):
        varint(value)


# draft-16 §4.2 and §4.3: 0x54 and 0x41 need two bytes (RFC 9000 §16: 6 bits in one byte).
def test_headers_of_webtransport_streams() -> None:
    assert uni_header(0) == bytes.fromhex("405400")
    assert bidi_header(0) == bytes.fromhex("404100")
    assert uni_header(64, type_length=4, id_length=8) == bytes.fromhex("80000054c000000000000040")


# RFC 9114 §7.1, §7.2.6: type, length, payload.
def test_frames() -> None:
    assert goaway_frame(4) == bytes.fromhex("070104")
    assert data_frame(b"ab") == bytes.fromhex("00026162")
    assert frame(FrameType.DATA, b"ab", declared_length=10) == bytes.fromhex("000a6162")


# RFC 9114 §7.2.4: identifier and value as varints. 0x2c7cf000 needs four bytes with prefix 10.
def test_settings() -> None:
    encoded = encode_settings([(0x33, 1), (0x2C7CF000, 1), (0x33, 0)])
    assert encoded == bytes.fromhex("0409 3301 ac7cf00001 3300".replace(" ", ""))
    assert parse_settings(encoded[2:]) == ((0x33, 1), (0x2C7CF000, 1), (0x33, 0))
    assert parse_settings(encoded[2:-1]) is None


# draft-16 §6 (0x2843, 32-bit code, message), §4.7 (0x78ae, empty), §5.6.2 (0x190B4D3F, one varint).
def test_capsules() -> None:
    assert capsules.close_capsule(0x01020304, b"bye") == bytes.fromhex("68430701020304627965")
    assert capsules.drain_capsule() == bytes.fromhex("800078ae00")
    assert capsules.limit_capsule(CapsuleType.WT_MAX_STREAMS_BIDI, 100) == bytes.fromhex("990b4d3f024064")
    assert capsules.parse_close(bytes(3)) is None
    message = capsules.parse_close(b"\xff\xff\xff\xfe\xc3\xa9")
    assert message is not None
    assert (message.code, message.text) == (0xFFFFFFFE, "é")
    assert capsules.CloseMessage(0, b"\xc0\x80").text is None


# RFC 9297 §2.1: Quarter Stream ID, payload.
def test_datagrams() -> None:
    assert datagram(8, b"x") == b"\x02x"
    assert parse_datagram(b"\x40\x02x") == (2, b"x")
    assert parse_datagram(b"") is None
    assert parse_datagram(b"\x40") is None
    with pytest.raises(ValueError):
        datagram(2, b"")


# draft-16 §4.4: 0 -> 0x52e4a40fa8db, 0xffffffff -> 0x52e5ac983162; each 31st code point is reserved.
@pytest.mark.parametrize(
    ("code", "mapped"),
    [
        (0, 0x52E4A40FA8DB),
        (29, 0x52E4A40FA8F8),
        (30, 0x52E4A40FA8FA),
        (59, 0x52E4A40FA917),
        (60, 0x52E4A40FA919),
        (255, 0x52E4A40FA9E2),
        (0xFFFFFFFF, 0x52E5AC983162),
    ],
)
def test_error_code_mapping(code: int, mapped: int) -> None:
    assert errorcodes.to_http(code) == mapped
    assert errorcodes.from_http(mapped) == code


@pytest.mark.parametrize("code", [0x52E4A40FA8DA, 0x52E5AC983163, 0x52E4A40FA8F9, 0x52E4A40FA918, 0x0100])
def test_unmappable_error_codes(code: int) -> None:
    assert errorcodes.from_http(code) is None


def test_error_codes_of_draft_02_have_eight_bits() -> None:
    assert errorcodes.from_http(0x52E4A40FA9E2, last=errorcodes.LAST_8_BIT) == 255
    assert errorcodes.from_http(0x52E4A40FA9E3, last=errorcodes.LAST_8_BIT) is None


@given(st.integers(0, errorcodes.MAX_APPLICATION_CODE))
def test_error_code_round_trip(code: int) -> None:
    mapped = errorcodes.to_http(code)
    assert not is_reserved(mapped)
    assert errorcodes.from_http(mapped) == code


@given(st.integers(0, 1 << 40))
def test_reserved_values(n: int) -> None:
    assert is_reserved(reserved(n))
    assert not is_reserved(reserved(n) + 1)


ITEMS = st.lists(st.tuples(st.integers(0, 0x3F), st.binary(max_size=40)), max_size=6)


@given(ITEMS, st.lists(st.integers(1, 7), min_size=1), st.integers(0, 50))
def test_parser_is_independent_of_portions(
    items: list[tuple[int, bytes]], portions: list[int], bound: int
) -> None:
    data = b"".join(frame(kind, payload) for kind, payload in items)
    parser = TlvParser(max_value=bound)
    ends: list[End] = []
    chunks = b""
    offset = 0
    while offset < len(data):
        size = portions[offset % len(portions)]
        for item in parser.feed(data[offset : offset + size]):
            match item:
                case End():
                    ends.append(item)
                case Chunk():
                    chunks += item.data
        offset += size
    assert parser.between_items
    assert [(end.type, end.length) for end in ends] == [(kind, len(payload)) for kind, payload in items]
    assert [end.value for end in ends] == [payload[:bound] for _, payload in items]
    assert chunks == b"".join(payload for _, payload in items)


@given(st.binary(max_size=200), st.integers(1, 9))
def test_parser_takes_anything(data: bytes, size: int) -> None:
    whole, portioned = frame_parser(), frame_parser()
    expected = [item for item in whole.feed(data) if isinstance(item, Start | End | Opaque)]
    found = []
    for offset in range(0, len(data), size):
        found += [
            item
            for item in portioned.feed(data[offset : offset + size])
            if isinstance(item, Start | End | Opaque)
        ]
    assert found == expected
    assert whole.between_items == portioned.between_items


def test_signal_makes_the_rest_opaque() -> None:
    parser = frame_parser()
    items = parser.feed(bytes.fromhex("8000004100") + b"\x04\x00")
    assert items == [Opaque(0x41, first=True, encoded_length=4), Rest(b"\x00\x04\x00")]
    later = frame_parser().feed(frame(0x21) + bidi_header(0))
    assert Opaque(0x41, first=False, encoded_length=2) in later
