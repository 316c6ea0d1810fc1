"""HTTP/3 frames (RFC 9114 §7): encoding with every freedom, and the parser of a frame sequence."""

from __future__ import annotations

from typing import Final

from conformance.peer.codepoints import FrameType
from conformance.peer.tlv import TlvParser
from conformance.peer.varint import varint

# A field section, SETTINGS or GOAWAY longer than this is counted and cut.
MAX_FRAME_PAYLOAD: Final = 256 * 1024


def frame(
    frame_type: int,
    payload: bytes = b"",
    *,
    declared_length: int | None = None,
    type_length: int | None = None,
    length_length: int | None = None,
) -> bytes:
    """Encode a frame.

    ``declared_length`` puts another length in the header than the payload has; ``type_length`` and
    ``length_length`` choose the number of bytes of the two variable-length integers.
    """
    length = len(payload) if declared_length is None else declared_length
    return varint(frame_type, type_length) + varint(length, length_length) + payload


def data_frame(payload: bytes) -> bytes:
    """Encode a DATA frame (RFC 9114 §7.2.1)."""
    return frame(FrameType.DATA, payload)


def headers_frame(field_section: bytes) -> bytes:
    """Encode a HEADERS frame around an encoded field section (RFC 9114 §7.2.2)."""
    return frame(FrameType.HEADERS, field_section)


def goaway_frame(identifier: int) -> bytes:
    """Encode a GOAWAY frame (RFC 9114 §7.2.6)."""
    return frame(FrameType.GOAWAY, varint(identifier))


def frame_parser(*, max_payload: int = MAX_FRAME_PAYLOAD) -> TlvParser:
    """Return a parser of a sequence of frames in which WT_STREAM ends the framing (draft-16 §4.3)."""
    return TlvParser(max_value=max_payload, opaque_type=FrameType.WT_STREAM)
