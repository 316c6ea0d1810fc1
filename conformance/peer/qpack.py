"""Field sections (RFC 9204): pylsqpack where they are to be right, bytes made by hand where they may lie.

``encode_literal`` writes every line as a literal with a literal name and without Huffman coding;
``encode_static`` uses the static table and Huffman coding. Both leave the dynamic table alone, so
that neither needs an encoder stream. The functions below them make single representations and
instructions, right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import pylsqpack

Field: TypeAlias = tuple[bytes, bytes]
# Continuation bytes of an integer: enough for 62 bits (RFC 9204 §4.1.1) and some needless ones.
_MAX_SHIFT: Final = 7 * 15
# What an entry takes beside name and value (RFC 9204 §3.2.1).
ENTRY_OVERHEAD: Final = 32
_EMPTY_SECTION: Final = b"\x00\x00"

FieldEncoder: TypeAlias = Callable[[Iterable[Field]], bytes]


class QpackError(Exception):
    """A field section or an instruction cannot be decoded; the text of the library is the message."""


class Blocked(Exception):
    """The field section refers to entries that have not arrived yet (RFC 9204 §2.1.2)."""


def prefix_integer(value: int, bits: int, flags: int = 0, *, padding: int = 0) -> bytes:
    """Encode an integer with an N-bit prefix (RFC 9204 §4.1.1, RFC 7541 §5.1).

    ``flags`` are the bits in front of the prefix; ``padding`` adds that many needless continuation
    bytes, which is possible where the value does not fit the prefix.
    """
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([flags | value])
    rest = value - limit
    encoded = bytearray([flags | limit])
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    if not padding:
        encoded.append(rest)
    else:
        encoded.append(rest | 0x80)
        encoded += b"\x80" * (padding - 1) + b"\x00"
    return bytes(encoded)


def read_prefix_integer(data: bytes | bytearray, bits: int, offset: int = 0) -> tuple[int, int] | None:
    """Decode an integer with an N-bit prefix: (value, offset behind it), None if bytes are missing."""
    if offset >= len(data):
        return None
    limit = (1 << bits) - 1
    value = data[offset] & limit
    offset += 1
    if value < limit:
        return value, offset
    shift = 0
    while offset < len(data) and shift <= _MAX_SHIFT:
        value += (data[offset] & 0x7F) << shift
        shift += 7
        offset += 1
        if not data[offset - 1] & 0x80:
            return value, offset
    return None


def section_prefix(encoded_insert_count: int = 0, delta_base: int = 0, *, sign: bool = False) -> bytes:
    """Encode the prefix of a field section (RFC 9204 §4.5.1)."""
    return prefix_integer(encoded_insert_count, 8) + prefix_integer(delta_base, 7, 0x80 if sign else 0)


def indexed_static(index: int) -> bytes:
    """Encode an indexed field line of the static table (RFC 9204 §4.5.2); above 98 it is a lie."""
    return prefix_integer(index, 6, 0xC0)


def encoded_insert_count(required: int, max_table_capacity: int) -> int:
    """Return a Required Insert Count as the prefix of a section has it (RFC 9204 §4.5.1.1).

    ``max_table_capacity`` in bytes is that of the decoder's SETTINGS, at least 32.
    """
    return required % (2 * (max_table_capacity // ENTRY_OVERHEAD)) + 1 if required else 0


def entry_size(entry: Field) -> int:
    """Return what an entry takes of the table's capacity, in bytes (RFC 9204 §3.2.1)."""
    return len(entry[0]) + len(entry[1]) + ENTRY_OVERHEAD


def indexed_dynamic(index: int) -> bytes:
    """Encode an indexed field line of the dynamic table, relative to the Base (RFC 9204 §4.5.2)."""
    return prefix_integer(index, 6, 0x80)


def indexed_post_base(index: int) -> bytes:
    """Encode an indexed field line with a post-Base index (RFC 9204 §4.5.3)."""
    return prefix_integer(index, 4, 0x10)


def static_name_reference(index: int, value: bytes) -> bytes:
    """Encode a literal field line with a name from the static table (RFC 9204 §4.5.4)."""
    return prefix_integer(index, 4, 0x50) + prefix_integer(len(value), 7) + value


def literal(name: bytes, value: bytes, *, never_indexed: bool = False) -> bytes:
    """Encode a literal field line with a literal name, without Huffman coding (RFC 9204 §4.5.6)."""
    flags = 0x30 if never_indexed else 0x20
    return prefix_integer(len(name), 3, flags) + name + prefix_integer(len(value), 7) + value


def encode_literal(fields: Iterable[Field]) -> bytes:
    """Encode a field section of nothing but literals (RFC 9204 §4.5.6)."""
    return section_prefix() + b"".join(literal(name, value) for name, value in fields)


def encode_static(fields: Iterable[Field]) -> bytes:
    """Encode a field section with the static table and Huffman coding."""
    _instructions, section = pylsqpack.Encoder().encode(0, list(fields))
    return section


ENCODERS: Final[Mapping[str, FieldEncoder]] = {"literal": encode_literal, "static": encode_static}


# --- instructions on the encoder stream (RFC 9204 §4.3) and the decoder stream (§4.4) ---


def set_capacity(capacity: int) -> bytes:
    """Encode Set Dynamic Table Capacity (RFC 9204 §4.3.1)."""
    return prefix_integer(capacity, 5, 0x20)


def insert_static_name(index: int, value: bytes) -> bytes:
    """Encode Insert with Name Reference to the static table (RFC 9204 §4.3.2)."""
    return prefix_integer(index, 6, 0xC0) + prefix_integer(len(value), 7) + value


def insert_literal(name: bytes, value: bytes) -> bytes:
    """Encode Insert with Literal Name (RFC 9204 §4.3.3)."""
    return prefix_integer(len(name), 5, 0x40) + name + prefix_integer(len(value), 7) + value


def duplicate(index: int) -> bytes:
    """Encode Duplicate (RFC 9204 §4.3.4)."""
    return prefix_integer(index, 5)


def section_acknowledgment(stream_id: int) -> bytes:
    """Encode Section Acknowledgment (RFC 9204 §4.4.1)."""
    return prefix_integer(stream_id, 7, 0x80)


def stream_cancellation(stream_id: int) -> bytes:
    """Encode Stream Cancellation (RFC 9204 §4.4.2)."""
    return prefix_integer(stream_id, 6, 0x40)


def insert_count_increment(increment: int) -> bytes:
    """Encode Insert Count Increment (RFC 9204 §4.4.3)."""
    return prefix_integer(increment, 6)


def refers_beyond_insert_count(section: bytes) -> bool:
    """Tell whether a field line refers to an entry at or above the section's Required Insert Count.

    RFC 9204 §2.2.1, §2.2.3. Indices are relative to the Base and the Base to that count (§4.5.1.2), so that
    the state of the table does not matter. False for what is cut.
    """
    prefix = read_prefix_integer(section, 8)
    base = read_prefix_integer(section, 7, prefix[1]) if prefix is not None else None
    if prefix is None or base is None:
        return False
    below, (delta, offset) = bool(section[prefix[1]] & 0x80), base
    while offset < len(section):
        line = _read_line(section, offset)
        if line is None:
            return False
        table, index, offset = line
        if table == "relative" and not below and index < delta:
            return True
        if table == "post-base" and not (below and index <= delta):
            return True
    return False


# Field lines (RFC 9204 §4.5.2 to §4.5.6): mask and value of their first byte, bits of the index, the table
# that it belongs to, and whether a value follows; without a table it is the length of a literal name.
_LINES: Final = (
    (0xC0, 0xC0, 6, "static", False),
    (0xC0, 0x80, 6, "relative", False),
    (0xD0, 0x50, 4, "static", True),
    (0xD0, 0x40, 4, "relative", True),
    (0xE0, 0x20, 3, "", True),
    (0xF0, 0x10, 4, "post-base", False),
    (0xF0, 0x00, 3, "post-base", True),
)


def _read_line(section: bytes, offset: int) -> tuple[str, int, int] | None:
    """Return the table and the index of a field line, and the offset behind it; None if it is cut."""
    bits, table, valued = next(item[2:] for item in _LINES if section[offset] & item[0] == item[1])
    index = read_prefix_integer(section, bits, offset)
    if index is None or not valued:
        return None if index is None else (table, *index)
    value = read_prefix_integer(section, 7, index[1] + (0 if table else index[0]))
    return None if value is None else (table, index[0], sum(value))


class SectionDecoder:
    """Decode the field sections of one direction of a connection."""

    def __init__(self, *, max_table_capacity: int = 0, blocked_streams: int = 0) -> None:
        self._decoder = pylsqpack.Decoder(max_table_capacity, blocked_streams)

    def decode(self, stream_id: int, section: bytes) -> tuple[list[Field], bytes]:
        """Decode: (fields, bytes for the decoder stream). Raises QpackError or Blocked."""
        if section == _EMPTY_SECTION:
            return [], b""  # Valid (RFC 9204 §4.5), but the library takes it for cut.
        if refers_beyond_insert_count(section):
            # The library is content where any line needs as much as the section declares.
            raise QpackError("a reference beyond the Required Insert Count")
        try:
            instructions, fields = self._decoder.feed_header(stream_id, section)
        except pylsqpack.StreamBlocked as error:
            raise Blocked(str(error)) from error
        except (pylsqpack.DecompressionFailed, ValueError) as error:
            raise QpackError(str(error)) from error
        return fields, instructions

    def feed(self, instructions: bytes) -> list[int]:
        """Read bytes of the encoder stream; return the streams that became decodable. QpackError."""
        try:
            return list(self._decoder.feed_encoder(instructions))
        except (pylsqpack.EncoderStreamError, ValueError) as error:
            raise QpackError(str(error)) from error

    def resume(self, stream_id: int) -> tuple[list[Field], bytes]:
        """Decode a section that was blocked, after ``feed`` named the stream."""
        try:
            instructions, fields = self._decoder.resume_header(stream_id)
        except (pylsqpack.DecompressionFailed, ValueError) as error:
            raise QpackError(str(error)) from error
        return fields, instructions

    def cancel(self, stream_id: int) -> bytes:
        """Forget a blocked stream; return the Stream Cancellation for the decoder stream."""
        return self._decoder.cancel_stream(stream_id)


class SectionEncoder:
    """Encode the field sections of one direction with the dynamic table that the other side allows.

    ``max_table_capacity`` (bytes) and ``blocked_streams`` are the other side's SETTINGS (RFC 9204 §5).
    """

    def __init__(self, *, max_table_capacity: int, blocked_streams: int) -> None:
        self._encoder = pylsqpack.Encoder()
        self._pending = self._encoder.apply_settings(max_table_capacity, blocked_streams)

    def encode(self, stream_id: int, fields: Iterable[Field]) -> tuple[bytes, bytes]:
        """Encode: (bytes for the encoder stream, which go first, field section)."""
        instructions, section = self._encoder.encode(stream_id, list(fields))
        first, self._pending = self._pending, b""
        return first + instructions, section

    def feed(self, instructions: bytes) -> None:
        """Read bytes of the decoder stream. Raises QpackError."""
        try:
            self._encoder.feed_decoder(instructions)
        except (pylsqpack.DecoderStreamError, ValueError) as error:
            raise QpackError(str(error)) from error
