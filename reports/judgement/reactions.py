"""Reactions: what a target did, in the few words that judgement needs.

A reaction is made from the JSON form of a received wire event, or given as such: an object with
``kind`` and the members below.

=================== ==========================================================================
connection_closed   ``application`` (bool), ``code``, ``by`` (peer; local and case: see below)
connection_lost     ``by``: idle or stateless_reset
stream_reset        ``stream``, ``code``, ``reliable_size`` (None: plain RESET_STREAM)
stop_sending        ``stream``, ``code``
status              ``stream``, ``status`` (int; 0 where it is no number)
capsule             ``stream``, ``type``, ``code`` (the first 32 bits of the value, or None)
fin                 ``stream``
data                ``stream``: body bytes of a WebTransport stream
datagram            ``stream``: the session that the datagram belongs to
goaway              ``stream``
malformed           ``stream``: what the target sent cannot be parsed
own_close           our own engine closed the connection: nothing after it can be judged
=================== ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.judgement import codes

_FIRST_32_BITS = re.compile("[0-9a-f]{8}")

CLOSE_SESSION = 0x2843  # WT_CLOSE_SESSION, draft-ietf-webtrans-http3-16 §6
DRAIN_SESSION = 0x78AE  # WT_DRAIN_SESSION, §4.7
CAPSULE_NAMES = {CLOSE_SESSION: "WT_CLOSE_SESSION", DRAIN_SESSION: "WT_DRAIN_SESSION"}

KINDS = frozenset(
    {
        "connection_closed",
        "connection_lost",
        "stream_reset",
        "stop_sending",
        "status",
        "capsule",
        "fin",
        "data",
        "datagram",
        "goaway",
        "malformed",
        "own_close",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """One thing that the target did; members that a kind does not have are None."""

    kind: str
    stream: int | None = None
    code: int | None = None
    application: bool | None = None
    by: str | None = None
    status: int | None = None
    capsule_type: int | None = None
    reliable_size: int | None = None

    @property
    def label(self) -> str:
        """The class of the reaction and its code, without anything that differs from run to run."""
        match self.kind:
            case "connection_closed":
                layer = "application" if self.application else "transport"
                return f"connection_closed {layer} {_hex(self.code)}"
            case "connection_lost":
                return f"connection_lost {self.by}"
            case "status":
                return f"status {self.status}"
            case "capsule":
                code = "" if self.code is None else f" code {_hex(self.code)}"
                return f"capsule {_hex(self.capsule_type)}{code}"
            case "stream_reset" | "stop_sending":
                return f"{self.kind} {_hex(self.code)}"
            case _:
                return self.kind

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form, which ``reactions_of`` reads again: the short way to keep an event."""
        members = {
            "kind": self.kind,
            "stream": self.stream,
            "application": self.application,
            "code": self.code,
            "by": self.by,
            "status": self.status,
            "type": self.capsule_type,
            "reliable_size": self.reliable_size,
        }
        return {name: value for name, value in members.items() if value is not None}

    def describe(self) -> str:
        """Say in words what the target did."""
        match self.kind:
            case "connection_closed":
                kind = "application" if self.application else "transport"
                code = codes.describe(self.code or 0, transport=not self.application)
                return f"CONNECTION_CLOSE ({kind}) with {code}"
            case "connection_lost" if self.by == "stateless_reset":
                return "a stateless reset"
            case "connection_lost":
                return "silence until the idle timeout"
            case "stream_reset":
                frame = "RESET_STREAM" if self.reliable_size is None else "RESET_STREAM_AT"
                return f"{frame} on stream {self.stream} with {codes.describe(self.code or 0)}"
            case "stop_sending":
                return f"STOP_SENDING on stream {self.stream} with {codes.describe(self.code or 0)}"
            case "status":
                return f"status {self.status} on stream {self.stream}"
            case "capsule":
                number = self.capsule_type or 0
                name = CAPSULE_NAMES.get(number, f"capsule 0x{number:x}")
                code = "" if self.code is None else f" with code {codes.describe(self.code)}"
                return f"{name} on stream {self.stream}{code}"
            case "own_close":
                return "the connection was closed by our own side"
            case _:
                return f"{_WORDS.get(self.kind, self.kind)}" + (
                    "" if self.stream is None else f" on stream {self.stream}"
                )


_WORDS = {"fin": "FIN", "data": "data", "datagram": "a datagram", "goaway": "GOAWAY", "malformed": "garbage"}


def _hex(value: int | None) -> str:
    return "none" if value is None else f"0x{value:x}"


def reactions_of(events: Iterable[Mapping[str, Any]]) -> list[Reaction]:
    """Return the reactions in the order of the events; events that are none are left out."""
    return [reaction for event in events for reaction in _reactions(event)]


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _reactions(event: Mapping[str, Any]) -> list[Reaction]:
    if "kind" in event:
        reaction = _given(event)
        return [] if reaction is None else [reaction]
    if event.get("direction") == "sent" and event.get("name") != "ConnectionClosed":
        return []
    convert = _CONVERT.get(str(event.get("name")))
    return [] if convert is None else convert(event)


def _given(event: Mapping[str, Any]) -> Reaction | None:
    kind = str(event["kind"])
    if kind == "connection_closed":
        return _closed(event.get("by"), event.get("code"), bool(event.get("application")))
    if kind not in KINDS:
        return None
    return Reaction(
        kind=kind,
        stream=_integer(event.get("stream")),
        code=_integer(event.get("code")),
        by=event.get("by"),
        status=_integer(event.get("status")),
        capsule_type=_integer(event.get("type")),
        reliable_size=_integer(event.get("reliable_size")),
    )


def _closed(by: str | None, code: object, application: bool) -> Reaction | None:
    match by:
        case "case":  # the case wanted it: no reaction of the target
            return None
        case "local":
            return Reaction(kind="own_close", by=by)
        case "idle" | "stateless_reset":
            return Reaction(kind="connection_lost", by=by)
        case _:
            return Reaction(kind="connection_closed", application=application, code=_integer(code), by="peer")


def _connection_closed(event: Mapping[str, Any]) -> list[Reaction]:
    reaction = _closed(event.get("by"), event.get("error_code"), event.get("frame_type") is None)
    return [] if reaction is None else [reaction]


def _stream_reset(event: Mapping[str, Any]) -> list[Reaction]:
    return [
        Reaction(
            kind="stream_reset",
            stream=_integer(event.get("stream_id")),
            code=_integer(event.get("error_code")),
            reliable_size=_integer(event.get("reliable_size")),
        )
    ]


def _stop_sending(event: Mapping[str, Any]) -> list[Reaction]:
    stream, code = _integer(event.get("stream_id")), _integer(event.get("error_code"))
    return [Reaction(kind="stop_sending", stream=stream, code=code)]


def _stream_data(event: Mapping[str, Any]) -> list[Reaction]:
    return [Reaction(kind="fin", stream=_integer(event.get("stream_id")))] if event.get("end_stream") else []


def _webtransport_data(event: Mapping[str, Any]) -> list[Reaction]:
    return [Reaction(kind="data", stream=_integer(event.get("stream_id")))] if event.get("data") else []


def _field_section(event: Mapping[str, Any]) -> list[Reaction]:
    listed = event.get("fields")
    for entry in listed if isinstance(listed, (list, tuple)) else ():
        if isinstance(entry, (list, tuple)) and len(entry) == 2 and _text(entry[0]) == ":status":
            text = _text(entry[1])
            status = int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0
            return [Reaction(kind="status", stream=_integer(event.get("stream_id")), status=status)]
    return []


def _text(value: object) -> str:
    try:
        return bytes.fromhex(str(value)).decode("latin-1")
    except ValueError:
        return ""


def _capsule(event: Mapping[str, Any]) -> list[Reaction]:
    number = _integer(event.get("capsule_type"))
    value = str(event.get("value") or "")
    code = int(value[:8], 16) if number == CLOSE_SESSION and _FIRST_32_BITS.match(value) else None
    return [Reaction(kind="capsule", stream=_integer(event.get("stream_id")), capsule_type=number, code=code)]


def _datagram(event: Mapping[str, Any]) -> list[Reaction]:
    quarter = _integer(event.get("quarter_stream_id"))
    return [Reaction(kind="datagram", stream=None if quarter is None else quarter * 4)]


def _plain(kind: str) -> Callable[[Mapping[str, Any]], list[Reaction]]:
    return lambda event: [Reaction(kind=kind, stream=_integer(event.get("stream_id")))]


_CONVERT: Mapping[str, Callable[[Mapping[str, Any]], list[Reaction]]] = {
    "ConnectionClosed": _connection_closed,
    "StreamReset": _stream_reset,
    "StopSending": _stop_sending,
    "StreamData": _stream_data,
    "WtStreamData": _webtransport_data,
    "FieldSection": _field_section,
    "Capsule": _capsule,
    "WtDatagram": _datagram,
    "Goaway": _plain("goaway"),
    "Malformed": _plain("malformed"),
}
