"""HTTP datagrams (RFC 9297 §2.1): Quarter Stream ID and payload in a QUIC DATAGRAM frame."""

from __future__ import annotations

from conformance.peer.varint import read_varint, varint


def datagram(stream_id: int, payload: bytes, *, quarter_length: int | None = None) -> bytes:
    """Encode a datagram of the request on ``stream_id``; ValueError unless it is a multiple of four."""
    if stream_id % 4:
        raise ValueError(f"stream {stream_id} is not a client-initiated bidirectional stream")
    return varint(stream_id // 4, quarter_length) + payload


def parse_datagram(data: bytes) -> tuple[int, bytes] | None:
    """Split into (Quarter Stream ID, payload); None if the frame is too short for the ID."""
    result = read_varint(data)
    return None if result is None else (result[0], data[result[1] :])
