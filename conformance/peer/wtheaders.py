"""Headers of WebTransport streams (draft-16 §4.2, §4.3): signal or stream type, then the session ID."""

from __future__ import annotations

from conformance.peer.codepoints import FrameType, StreamType
from conformance.peer.varint import varint


def uni_header(session_id: int, *, type_length: int | None = None, id_length: int | None = None) -> bytes:
    """Encode the header of a unidirectional stream: 0x54, Session ID."""
    return varint(StreamType.WEBTRANSPORT, type_length) + varint(session_id, id_length)


def bidi_header(session_id: int, *, type_length: int | None = None, id_length: int | None = None) -> bytes:
    """Encode the header of a bidirectional stream: 0x41, Session ID."""
    return varint(FrameType.WT_STREAM, type_length) + varint(session_id, id_length)


def is_client_bidi(stream_id: int) -> bool:
    """Tell whether the ID is one of a client-initiated bidirectional stream (RFC 9000 §2.1)."""
    return stream_id % 4 == 0


def is_unidirectional(stream_id: int) -> bool:
    """Tell whether the stream carries data in one direction only (RFC 9000 §2.1)."""
    return bool(stream_id & 2)


def is_server_initiated(stream_id: int) -> bool:
    """Tell whether the server opened the stream (RFC 9000 §2.1)."""
    return bool(stream_id & 1)
