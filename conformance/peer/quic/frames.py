"""QUIC frames: one table of formats for reading and writing (RFC 9000 §19, RFC 9221, RESET_STREAM_AT).

Reading never raises: what cannot be parsed becomes a last frame named ``malformed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aioquic.buffer import encode_uint_var

from conformance.peer.quic.compat import Buffer, BufferReadError

Details: TypeAlias = dict[str, int | str | bytes]

MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: its type, the name of the type, and its fields by their names in RFC 9000 §19."""

    frame_type: int
    name: str
    details: Details


# A field is read by a function from (buffer, the details read so far).
_Reader: TypeAlias = Callable[[Buffer, Details], int | str | bytes]


def _varint(buffer: Buffer, _details: Details) -> int:
    return buffer.pull_uint_var()


def _octet(buffer: Buffer, _details: Details) -> int:
    return buffer.pull_uint8()


def _fixed(size: int) -> _Reader:
    return lambda buffer, _details: buffer.pull_bytes(size)


def _counted(buffer: Buffer, _details: Details) -> bytes:
    return buffer.pull_bytes(buffer.pull_uint_var())


def _short_counted(buffer: Buffer, _details: Details) -> bytes:
    return buffer.pull_bytes(buffer.pull_uint8())


def _rest(buffer: Buffer, _details: Details) -> bytes:
    return buffer.pull_bytes(buffer.capacity - buffer.tell())


def _ack_ranges(buffer: Buffer, details: Details) -> str:
    """Read count, first range and the gaps; the result is ``largest-smallest`` pairs, as text."""
    largest = details["largest_acknowledged"]
    assert isinstance(largest, int)
    count = buffer.pull_uint_var()
    smallest = largest - buffer.pull_uint_var()
    ranges = [f"{smallest}-{largest}"]
    for _ in range(count):
        largest = smallest - buffer.pull_uint_var() - 2
        smallest = largest - buffer.pull_uint_var()
        ranges.append(f"{smallest}-{largest}")
    return ",".join(ranges)


_CODE = ("application_protocol_error_code", _varint)
_STREAM = ("stream_id", _varint)

_FORMATS: dict[int, tuple[str, tuple[tuple[str, _Reader], ...]]] = {
    0x01: ("ping", ()),
    0x02: (
        "ack",
        (("largest_acknowledged", _varint), ("ack_delay", _varint), ("ack_ranges", _ack_ranges)),
    ),
    0x03: (
        "ack",
        (
            ("largest_acknowledged", _varint),
            ("ack_delay", _varint),
            ("ack_ranges", _ack_ranges),
            ("ect0_count", _varint),
            ("ect1_count", _varint),
            ("ecn_ce_count", _varint),
        ),
    ),
    0x04: ("reset_stream", (_STREAM, _CODE, ("final_size", _varint))),
    0x05: ("stop_sending", (_STREAM, _CODE)),
    0x06: ("crypto", (("offset", _varint), ("crypto_data", _counted))),
    0x07: ("new_token", (("token", _counted),)),
    0x10: ("max_data", (("maximum_data", _varint),)),
    0x11: ("max_stream_data", (_STREAM, ("maximum_stream_data", _varint))),
    0x12: ("max_streams_bidi", (("maximum_streams", _varint),)),
    0x13: ("max_streams_uni", (("maximum_streams", _varint),)),
    0x14: ("data_blocked", (("maximum_data", _varint),)),
    0x15: ("stream_data_blocked", (_STREAM, ("maximum_stream_data", _varint))),
    0x16: ("streams_blocked_bidi", (("maximum_streams", _varint),)),
    0x17: ("streams_blocked_uni", (("maximum_streams", _varint),)),
    0x18: (
        "new_connection_id",
        (
            ("sequence_number", _varint),
            ("retire_prior_to", _varint),
            ("connection_id", _short_counted),
            ("stateless_reset_token", _fixed(16)),
        ),
    ),
    0x19: ("retire_connection_id", (("sequence_number", _varint),)),
    0x1A: ("path_challenge", (("data", _fixed(8)),)),
    0x1B: ("path_response", (("data", _fixed(8)),)),
    0x1C: (
        "connection_close",
        (("error_code", _varint), ("frame_type", _varint), ("reason_phrase", _counted)),
    ),
    0x1D: ("connection_close", (("error_code", _varint), ("reason_phrase", _counted))),
    0x1E: ("handshake_done", ()),
    0x24: ("reset_stream_at", (_STREAM, _CODE, ("final_size", _varint), ("reliable_size", _varint))),
    0x30: ("datagram", (("datagram_data", _rest),)),
    0x31: ("datagram", (("datagram_data", _counted),)),
}


def _stream_format(frame_type: int) -> tuple[str, tuple[tuple[str, _Reader], ...]]:
    """Format of STREAM (RFC 9000 §19.8): the three low bits are OFF, LEN and FIN."""
    fields: list[tuple[str, _Reader]] = [_STREAM]
    if frame_type & 4:
        fields.append(("offset", _varint))
    fields.append(("stream_data", _counted if frame_type & 2 else _rest))
    fields.append(("fin", lambda _buffer, _details: frame_type & 1))
    return "stream", tuple(fields)


_FORMATS.update({frame_type: _stream_format(frame_type) for frame_type in range(0x08, 0x10)})

FRAME_NAMES: Mapping[int, str] = {0: "padding", **{key: name for key, (name, _) in _FORMATS.items()}}
NON_ACK_ELICITING = frozenset((0x00, 0x02, 0x03, 0x1C, 0x1D))


def parse_frames(payload: bytes) -> Iterator[Frame]:
    """Yield the frames of a packet's payload; a run of PADDING is one frame with its ``length``.

    What cannot be parsed ends the iteration with a frame named ``malformed`` that holds the problem
    and the remaining bytes. An unknown type (RFC 9000 §12.4) has frame_type set, else it is -1.
    """
    buffer = Buffer(data=payload)
    while not buffer.eof():
        start = buffer.tell()
        frame_type = -1
        try:
            frame_type = buffer.pull_uint_var()
            if frame_type == 0:
                yield Frame(0, "padding", {"length": _skip_padding(buffer, payload) - start})
                continue
            name, fields = _FORMATS[frame_type]
            details: Details = {}
            for field, reader in fields:
                details[field] = reader(buffer, details)
        except BufferReadError:
            yield Frame(frame_type, MALFORMED, {"problem": "frame is cut short", "data": payload[start:]})
            return
        except KeyError:
            yield Frame(frame_type, MALFORMED, {"problem": "unknown frame type", "data": payload[start:]})
            return
        yield Frame(frame_type, name, details)


def _skip_padding(buffer: Buffer, payload: bytes) -> int:
    rest = payload[buffer.tell() :]
    end = len(payload) - len(rest.lstrip(b"\x00"))
    buffer.seek(end)
    return end


def is_ack_eliciting(payload: bytes) -> bool:
    """Tell whether a packet with these frames is acknowledged (RFC 9000 §13.2.1); malformed counts as yes."""
    return any(frame.frame_type not in NON_ACK_ELICITING for frame in parse_frames(payload))


def varints(*values: int) -> bytes:
    """Encode integers one after the other, each in its shortest form (RFC 9000 §16)."""
    return b"".join(encode_uint_var(value) for value in values)


def ping() -> bytes:
    """PING (RFC 9000 §19.2)."""
    return b"\x01"


def reset_stream(stream_id: int, error_code: int, final_size: int) -> bytes:
    """RESET_STREAM (RFC 9000 §19.4)."""
    return varints(0x04, stream_id, error_code, final_size)


def stop_sending(stream_id: int, error_code: int) -> bytes:
    """STOP_SENDING (RFC 9000 §19.5)."""
    return varints(0x05, stream_id, error_code)


def reset_stream_at(stream_id: int, error_code: int, final_size: int, reliable_size: int) -> bytes:
    """RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset-10 §4)."""
    return varints(0x24, stream_id, error_code, final_size, reliable_size)


def stream(stream_id: int, data: bytes, *, offset: int = 0, fin: bool = False) -> bytes:
    """STREAM with explicit offset and length (RFC 9000 §19.8)."""
    return varints(0x0E | fin, stream_id, offset, len(data)) + data


def datagram(data: bytes) -> bytes:
    """DATAGRAM with a length (RFC 9221 §4)."""
    return varints(0x31, len(data)) + data


def max_data(maximum: int) -> bytes:
    """MAX_DATA (RFC 9000 §19.9)."""
    return varints(0x10, maximum)


def max_stream_data(stream_id: int, maximum: int) -> bytes:
    """MAX_STREAM_DATA (RFC 9000 §19.10)."""
    return varints(0x11, stream_id, maximum)


def max_streams(maximum: int, *, unidirectional: bool) -> bytes:
    """MAX_STREAMS (RFC 9000 §19.11)."""
    return varints(0x13 if unidirectional else 0x12, maximum)
