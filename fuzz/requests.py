"""Requests beside the session: valid ones and malformed ones, as a table (RFC 9114 §4, RFC 8441 §4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from conformance.peer.qpack import Field
from fuzz.expectations import ANY_STREAM, Expectation

# Makes the fields of a request from those of a correct session request.
Change: TypeAlias = Callable[[Sequence[Field]], list[Field]]


@dataclass(frozen=True, slots=True)
class Variant:
    """One request: how its fields differ from a session request, and what has to follow."""

    change: Change
    expectation: Expectation


def _malformed(requirement: str, change: Change, set_name: str = "malformed-request") -> Variant:
    return Variant(change, Expectation(requirement, set_name, on_request=True))


def _without(*names: bytes) -> Change:
    return lambda fields: [field for field in fields if field[0] not in names]


def _added(*extra: Field) -> Change:
    return lambda fields: [*fields, *extra]


def _first(*extra: Field) -> Change:
    return lambda fields: [*extra, *fields]


def _replaced(name: bytes, value: bytes) -> Change:
    return lambda fields: [(key, value if key == name else old) for key, old in fields]


def _last(name: bytes) -> Change:
    return lambda fields: [
        *(field for field in fields if field[0] != name),
        (b"x-fuzz", b"1"),
        *(field for field in fields if field[0] == name),
    ]


def _twice(name: bytes) -> Change:
    return lambda fields: [(name, dict(fields)[name]), *fields]


def _get(fields: Sequence[Field]) -> list[Field]:
    known = dict(fields)
    return [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", known[b":authority"]),
        (b":path", b"/"),
    ]


REQUESTS: Final[Mapping[str, Variant]] = {
    "get": Variant(_get, ANY_STREAM),
    "uppercase-name": _malformed("H3-4.2-01", _added((b"X-Fuzz", b"1"))),
    "connection-field": _malformed("H3-4.2-02", _added((b"connection", b"close"))),
    "te-gzip": _malformed("H3-4.2-03", _added((b"te", b"gzip"))),
    "space-in-name": _malformed("H3-4.2-04", _added((b"x fuzz", b"1"))),
    "nul-in-value": _malformed("H3-4.2-04", _added((b"x-fuzz", b"a\0b"))),
    "line-feed-in-value": _malformed("H3-4.2-04", _added((b"x-fuzz", b"a\nb"))),
    "unknown-pseudo-field": _malformed("H3-4.3-01", _first((b":foo", b"bar"))),
    "status-in-request": _malformed("H3-4.3-01", _first((b":status", b"200"))),
    "pseudo-field-last": _malformed("H3-4.3-02", _last(b":path")),
    "path-twice": _malformed("H3-4.3-03", _twice(b":path")),
    "protocol-twice": _malformed("H3-4.3-03", _twice(b":protocol")),
    "no-path": _malformed("XC-05", _without(b":path")),
    "no-scheme": _malformed("XC-05", _without(b":scheme")),
    "no-authority": _malformed("H3-4.3.1-01", _without(b":authority")),
    "empty-authority": _malformed("H3-4.3.1-01", _replaced(b":authority", b"")),
    "other-host": _malformed("H3-4.3.1-01", _added((b"host", b"other.example"))),
    "empty-path": _malformed("H3-4.3.1-02", _replaced(b":path", b"")),
    "plain-connect": _malformed("H3-4.4-03", _without(b":protocol")),
    "protocol-on-get": _malformed("XC-07", _replaced(b":method", b"GET"), "rejected-not-2xx"),
}
