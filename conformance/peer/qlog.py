"""Wire events as qlog 0.3 in its streaming form (JSON-SEQ, RFC 7464), which qvis opens as ``.sqlog``.

Names and fields follow draft-ietf-quic-qlog-main-schema-02, -quic-events-01 and -h3-events-01.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TextIO

from conformance.peer.codepoints import FrameType
from conformance.peer.events import (
    ConnectionClosed,
    H3Frame,
    Json,
    QuicFrame,
    QuicPacket,
    TransportParameters,
    WireEvent,
)
from conformance.peer.quic import transport_parameters

RECORD_SEPARATOR: Final = "\x1e"
PACKET_TYPES: Final[Mapping[str, str]] = {"1rtt": "1RTT", "0rtt": "0RTT"}
# qlog's names of frame fields, where they differ from those of RFC 9000.
FIELD_NAMES: Final[Mapping[str, str]] = {
    "application_protocol_error_code": "error_code",
    "maximum_data": "maximum",
    "maximum_stream_data": "maximum",
    "maximum_streams": "maximum",
    "reason_phrase": "reason",
}
# Fields that appear by their length only: the bytes are in the capture.
LENGTH_ONLY: Final = frozenset(("stream_data", "crypto_data", "datagram_data"))
BLOCKED: Final = frozenset(("data_blocked", "stream_data_blocked", "streams_blocked"))
# Frames that qlog tells apart by a field in place of the type.
STREAM_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    f"{name}_{short}": (name, full)
    for name in ("max_streams", "streams_blocked")
    for short, full in (("bidi", "bidirectional"), ("uni", "unidirectional"))
}
H3_FRAMES: Final[Mapping[int, str]] = {kind.value: kind.name.lower() for kind in FrameType}

Data = dict[str, Json]


def write(
    file: TextIO, events: Iterable[WireEvent], *, is_client: bool, title: str = "", reference: float = 0.0
) -> None:
    """Write a trace; ``reference`` is the time zero of the events, in seconds since 1970."""
    point: Data = {"type": "client" if is_client else "server", "name": "wtconform"}
    header: Data = {
        "qlog_version": "0.3",
        "qlog_format": "JSON-SEQ",
        "title": title,
        "trace": {
            "vantage_point": point,
            "common_fields": {"time_format": "relative", "reference_time": reference * 1000},
        },
    }
    for record in (header, *records(events)):
        file.write(RECORD_SEPARATOR + json.dumps(record, separators=(",", ":")) + "\n")


def records(events: Iterable[WireEvent]) -> Iterator[Data]:
    """Yield qlog events; the frames of a packet, which follow it, become part of its record."""
    packet: Data | None = None
    frames: list[Json] = []
    for event in events:
        if isinstance(event, QuicFrame):
            frames.append(_frame(event))
            continue
        if packet is not None:
            yield packet
            packet = None
        if isinstance(event, QuicPacket):
            frames = []
            packet = _packet(event, frames)
        elif (writer := _WRITERS.get(type(event))) is not None:
            name, data = writer(event)
            yield _record(event, name, data)
    if packet is not None:
        yield packet


def _record(event: WireEvent, name: str, data: Data) -> Data:
    return {"time": round(event.time * 1000, 3), "name": name, "data": data}


def _packet(event: QuicPacket, frames: list[Json]) -> Data:
    header: Data = {"packet_type": PACKET_TYPES.get(event.packet_type, event.packet_type)}
    if event.packet_number is not None:
        header["packet_number"] = event.packet_number
    name = "transport:packet_sent" if event.sent else "transport:packet_received"
    return _record(event, name, {"header": header, "raw": {"length": event.size}, "frames": frames})


def _frame(event: QuicFrame) -> Data:
    if event.frame_name == "malformed":
        return {"frame_type": "unknown", "raw_frame_type": event.frame_type}
    name, stream_type = STREAM_TYPES.get(event.frame_name, (event.frame_name, None))
    result: Data = {"frame_type": name}
    if stream_type is not None:
        result["stream_type"] = stream_type
    for key, value in event.details.items():
        result.update(_field(name, key, value))
    if name == "connection_close":
        result["error_space"] = "application" if event.frame_type == 0x1D else "transport"
    return result


def _field(frame: str, key: str, value: int | str | bytes) -> Data:
    if key in LENGTH_ONLY:
        return {"length": len(value) if isinstance(value, bytes) else 0}
    if key == "ack_ranges":
        pairs: list[Json] = [
            [int(low), int(high)]
            for low, _, high in (part.rpartition("-") for part in reversed(str(value).split(",")))
        ]
        return {"acked_ranges": pairs}
    if key == "fin":
        return {"fin": bool(value)}
    if isinstance(value, bytes):
        text = value.decode(errors="replace") if key == "reason_phrase" else value.hex()
        return {FIELD_NAMES.get(key, key): text}
    name = FIELD_NAMES.get(key, key)
    if name == "maximum" and frame in BLOCKED:
        name = "limit"
    return {name: value}


def _parameters(event: WireEvent) -> tuple[str, Data]:
    assert isinstance(event, TransportParameters)
    data: Data = {"owner": "local" if event.sent else "remote"}
    for code, value in event.parameters.items():
        name = transport_parameters.NAMES.get(code, f"unknown_{code:#x}")
        number = transport_parameters.integer(value) if code in transport_parameters.INTEGERS else None
        data[name] = value.hex() if number is None else number
    return "transport:parameters_set", data


def _closed(event: WireEvent) -> tuple[str, Data]:
    assert isinstance(event, ConnectionClosed)
    code = "application_code" if event.application else "connection_code"
    owner = "local" if event.sent else "remote"
    return "connectivity:connection_closed", {
        "owner": owner,
        code: event.error_code,
        "reason": event.reason,
        "trigger": event.by,
    }


def _h3_frame(event: WireEvent) -> tuple[str, Data]:
    assert isinstance(event, H3Frame)
    name = "http:frame_created" if event.sent else "http:frame_parsed"
    frame: Data = {"frame_type": H3_FRAMES.get(event.frame_type, "unknown")}
    if event.frame_type not in H3_FRAMES:
        frame["raw_frame_type"] = event.frame_type
    return name, {"stream_id": event.stream_id, "length": event.length, "frame": frame}


_WRITERS: Final[Mapping[type[WireEvent], Callable[[WireEvent], tuple[str, Data]]]] = {
    TransportParameters: _parameters,
    ConnectionClosed: _closed,
    H3Frame: _h3_frame,
}
