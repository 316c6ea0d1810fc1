"""Wire logs as rows for a reader: time, direction, layer, event, stream, details.

Rows are plain text in JSON; a page writes them as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from reports.escaping import one_line
from reports.judgement import codes

Row: TypeAlias = "list[str | float | int]"

MAX_DETAILS = 400
TRANSPORT_CLOSE = 0x1C  # CONNECTION_CLOSE with a transport code, RFC 9000 §19.19
# Packets and frames are many, and most of what they carry is told again by the events above them:
# layers of their own that a page can hide.
LAYER_OF = {"QuicPacket": "packet", "QuicFrame": "frame"}
_COMMON = frozenset({"time", "direction", "layer", "name", "stream_id"})
_FRAME = frozenset({"frame_type", "frame_name", "packet_type", "packet_number", "details"})
_HEX = frozenset({"error_code", "frame_type", "stream_type", "capsule_type"})


def rows(events: Iterable[Mapping[str, Any]], limit: int) -> tuple[list[Row], int]:
    """Return at most ``limit`` rows and the number of events that were left out."""
    listed = list(events)
    return [row(event) for event in listed[:limit]], max(0, len(listed) - limit)


def row(event: Mapping[str, Any]) -> Row:
    """Return one row: milliseconds, 1 for sent or 0, layer, name, stream, details."""
    time = event.get("time")
    name = str(event.get("name", ""))
    layer = LAYER_OF.get(name) or str(event.get("layer", ""))
    stream = event.get("stream_id")
    if name == "QuicFrame" and isinstance(event.get("frame_name"), str):
        name, stream, event = _frame(event)
    return [
        round(time * 1000, 3) if isinstance(time, (int, float)) else 0.0,
        1 if event.get("direction") == "sent" else 0,
        one_line(layer, 10),
        one_line(name, 60),
        "" if stream is None else one_line(stream, 24),
        details(event),
    ]


def _frame(event: Mapping[str, Any]) -> tuple[str, Any, Mapping[str, Any]]:
    """Return name, stream and members of a QUIC frame: its own fields first, then its packet."""
    inner = event.get("details")
    members = dict(inner) if isinstance(inner, Mapping) else {}
    stream = members.pop("stream_id", None)
    code = members.get("error_code")
    if event.get("frame_type") == TRANSPORT_CLOSE and isinstance(code, int):
        members["error_code"] = codes.describe(code, transport=True)
    rest = {key: value for key, value in event.items() if key not in _FRAME}
    packet = {"packet": f"{event.get('packet_type')} {event.get('packet_number')}"}
    return str(event["frame_name"]).upper(), stream, {**rest, **members, **packet}


def details(event: Mapping[str, Any]) -> str:
    """Return the further members of an event as one line: names of codes written out, bytes cut."""
    parts = []
    for key, value in event.items():
        if key in _COMMON or (key.endswith("_length") and key[: -len("_length")] in event):
            continue
        text = _value(event, key, value)
        if text:
            parts.append(f"{key}={text}")
    return one_line("  ".join(parts), MAX_DETAILS)


def _value(event: Mapping[str, Any], key: str, value: Any) -> str:
    if key == "error_code" and isinstance(value, int):
        transport = event.get("name") == "ConnectionClosed" and event.get("frame_type") is not None
        return codes.describe(value, transport=transport)
    if key == "frame_type" and value is None:
        return "application"
    if key == "fields" and isinstance(value, list):
        return "; ".join(_field(entry) for entry in value[:40])
    if key == "entries" and isinstance(value, list):
        return ", ".join(_setting(entry) for entry in value[:40])
    if key in _HEX and isinstance(value, int):
        return f"0x{value:x}"
    if key == "parameters" and isinstance(value, Mapping):
        return ", ".join(_parameter(name, item) for name, item in list(value.items())[:40])
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_short(item)}" for name, item in list(value.items())[:40]) + "}"
    length = event.get(f"{key}_length")
    if length is not None:
        return f"{_short(value)} ({length} bytes)" if length else "(0 bytes)"
    return _short(value)


def _parameter(name: object, value: object) -> str:
    number = str(name)
    shown = f"0x{int(number):x}" if number.isascii() and number.isdigit() and len(number) <= 20 else number
    return f"{shown}={_short(value)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 96 else f"{text[:96]}…"


def _field(entry: object) -> str:
    if not isinstance(entry, Sequence) or isinstance(entry, str) or len(entry) != 2:
        return _short(entry)
    name, value = (_decoded(str(part)) for part in entry)
    return f"{name}: {value}"


def _decoded(text: str) -> str:
    try:
        return bytes.fromhex(text).decode("ascii", "backslashreplace")
    except ValueError:
        return text


def _setting(entry: object) -> str:
    if isinstance(entry, Sequence) and len(entry) == 2 and all(isinstance(part, int) for part in entry):
        return f"0x{entry[0]:x}={entry[1]}"
    return _short(entry)
