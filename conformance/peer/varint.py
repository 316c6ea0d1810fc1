"""Variable-length integers (RFC 9000 §16): the encoding of every number in QUIC, HTTP/3 and capsules.

The encoder can be asked for a longer encoding than needed: HTTP/3, capsules and WebTransport headers
have no rule of minimal length, so a receiver has to accept it (RFC 9000 §16, RFC 9297 §1.1).
"""

from __future__ import annotations

from typing import Final

MAX_VARINT: Final = (1 << 62) - 1
LENGTHS: Final = (1, 2, 4, 8)

# Length in bytes -> the two most significant bits of the first byte (RFC 9000 table 4).
_PREFIX: Final = {1: 0x00, 2: 0x40, 4: 0x80, 8: 0xC0}


def varint_length(value: int) -> int:
    """Return the length in bytes of the shortest encoding; ValueError outside 0..2^62-1."""
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"{value} is not a variable-length integer (0 to 2^62-1)")
    return next(length for length in LENGTHS if value < 1 << (8 * length - 2))


def varint(value: int, length: int | None = None) -> bytes:
    """Encode ``value`` in ``length`` bytes (1, 2, 4 or 8; None: the shortest encoding).

    ValueError if the value does not fit or the length does not exist.
    """
    shortest = varint_length(value)
    if length is None:
        length = shortest
    if length not in _PREFIX or length < shortest:
        raise ValueError(f"{value} cannot be encoded in {length} bytes")
    encoded = bytearray(value.to_bytes(length, "big"))
    encoded[0] |= _PREFIX[length]
    return bytes(encoded)


def read_varint(data: bytes | bytearray | memoryview, offset: int = 0) -> tuple[int, int] | None:
    """Decode one integer at ``offset``: (value, offset behind it), or None if bytes are missing."""
    if offset >= len(data):
        return None
    end = offset + (1 << (data[offset] >> 6))
    if end > len(data):
        return None
    value = int.from_bytes(data[offset:end], "big")
    return value & ((1 << (8 * (end - offset) - 2)) - 1), end


def read_whole_varint(data: bytes) -> int | None:
    """Decode ``data`` that has to be exactly one integer; None if bytes are missing or left over."""
    result = read_varint(data)
    return result[0] if result is not None and result[1] == len(data) else None
