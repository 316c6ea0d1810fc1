"""Reading encoder and decoder streams (RFC 9204 §4.3, §4.4): what the other side's QPACK says.

Both functions take the bytes of a stream behind its type and return whole instructions in their order; a
last one that is not complete is left out. Nothing is judged, no table is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from conformance.peer.qpack import read_prefix_integer

Kind: TypeAlias = Literal["capacity", "insert", "duplicate", "acknowledgment", "cancellation", "increment"]
# Reads one instruction at an offset: kind, value and the offset behind it; None if bytes are missing.
_Reader: TypeAlias = Callable[[bytes, int], tuple[Kind, int, int] | None]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; ``encoded`` holds all of its bytes.

    ``value``: the capacity, the relative index of a duplicate, the index of an inserted entry's name (the
    length of the name where it is a literal), the stream ID, or the increment.
    """

    kind: Kind
    value: int
    encoded: bytes


def encoder_instructions(data: bytes) -> list[Instruction]:
    """Return the instructions of an encoder stream (RFC 9204 §4.3)."""
    return _instructions(data, _encoder_instruction)


def decoder_instructions(data: bytes) -> list[Instruction]:
    """Return the instructions of a decoder stream (RFC 9204 §4.4)."""
    return _instructions(data, _decoder_instruction)


def _instructions(data: bytes, read: _Reader) -> list[Instruction]:
    found, offset = list[Instruction](), 0
    while offset < len(data) and (item := read(data, offset)) is not None:
        kind, value, end = item
        found.append(Instruction(kind, value, data[offset:end]))
        offset = end
    return found


def _encoder_instruction(data: bytes, offset: int) -> tuple[Kind, int, int] | None:
    first = data[offset]
    name_reference, literal_name = bool(first & 0x80), first & 0xC0 == 0x40
    head = read_prefix_integer(data, 6 if name_reference else 5, offset)
    if head is None:
        return None
    value, end = head
    if not (name_reference or literal_name):
        return "capacity" if first & 0x20 else "duplicate", value, end
    length = read_prefix_integer(data, 7, end + (value if literal_name else 0))
    if length is None or sum(length) > len(data):
        return None
    return "insert", value, sum(length)


def _decoder_instruction(data: bytes, offset: int) -> tuple[Kind, int, int] | None:
    first = data[offset]
    kinds: tuple[tuple[bool, Kind, int], ...] = (
        (bool(first & 0x80), "acknowledgment", 7),
        (bool(first & 0x40), "cancellation", 6),
        (True, "increment", 6),
    )
    kind, bits = next((kind, bits) for matches, kind, bits in kinds if matches)
    number = read_prefix_integer(data, bits, offset)
    return None if number is None else (kind, *number)
