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
# Packets are many and seldom asked for: a layer of their own that a page can hide.
PACKETS = "packet"
_COMMON = frozenset({"time", "direction", "layer", "name", "stream_id"})
_HEX = frozenset({"error_code", "frame_type", "stream_type", "capsule_type"})


def rows(events: Iterable[Mapping[str, Any]], limit: int) -> tuple[list[Row], int]:
    """Return at most ``limit`` rows and the number of events that were left out."""
    listed = list(events)
    return [row(event) for event in listed[:limit]], max(0, len(listed) - limit)


def row(event: Mapping[str, Any]) -> Row:
    """Return one row: milliseconds, 1 for sent or 0, layer, name, stream, details."""
    time = event.get("time")
    name = str(event.get("name", ""))
    layer = PACKETS if name == "QuicPacket" else str(event.get("layer", ""))
    stream = event.get("stream_id")
    return [
        round(time * 1000, 3) if isinstance(time, (int, float)) else 0.0,
        1 if event.get("direction") == "sent" else 0,
        one_line(layer, 10),
        one_line(name, 60),
        "" if stream is None else one_line(stream, 24),
        details(event),
    ]


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
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_short(item)}" for name, item in list(value.items())[:40]) + "}"
    length = event.get(f"{key}_length")
    if length is not None:
        return f"{_short(value)} ({length} bytes)" if length else "(0 bytes)"
    return _short(value)


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
