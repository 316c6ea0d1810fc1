"""Validation of request fields (RFC 9114 §4.2, §4.3; RFC 8441 §4; RFC 9297 §3.2; draft-16 §3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from conformance.peer.qpack import Field

MAX_PARAMETERS: Final = 64
_NAME: Final = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# field-value (RFC 9110 §5.5): no control characters but tab. White space at the ends is none of the
# characters that make a message malformed.
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CONNECTION_SPECIFIC: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_REQUEST_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
# RFC 9297 §3.2: a message that uses the capsule protocol has none of these.
_CONTENT_FIELDS: Final = frozenset({b"content-length", b"content-type", b"transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose fields are valid."""

    fields: tuple[Field, ...]

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of a field."""
        return next((value for key, value in self.fields if key == name), None)

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of all lines of a field."""
        return [value for key, value in self.fields if key == name]

    def text(self, name: bytes) -> str:
        """Return the first value as text, empty if there is none."""
        return (self.first(name) or b"").decode("utf-8", "replace")

    @property
    def method(self) -> bytes:
        """The request method."""
        return self.first(b":method") or b""

    @property
    def protocol(self) -> bytes | None:
        """The value of :protocol, None for a request that is not an extended CONNECT."""
        return self.first(b":protocol")

    @property
    def path(self) -> str:
        """The path without its query."""
        return self.text(b":path").partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query parameters, in order."""
        text = self.text(b":path").partition("?")[2]
        try:
            return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            return []


def trailer_violations(fields: Sequence[Field]) -> Iterator[str]:
    """Name the rules that a trailer section breaks."""
    if any(name.startswith(b":") for name, _ in fields):
        yield "pseudo-in-trailers"
    yield from _line_violations(fields)


def request_violations(fields: Sequence[Field]) -> Iterator[str]:
    """Name the rules that a request's field section breaks."""
    yield from _line_violations(fields)
    yield from _pseudo_violations(fields)
    lines = dict(reversed(fields))
    connect = lines.get(b":method") == b"CONNECT"
    if b":protocol" in lines and not connect:
        yield "protocol-without-connect"
    if connect and b":protocol" not in lines:
        if b":scheme" in lines or b":path" in lines:
            yield "connect-with-scheme-or-path"
    elif lines.get(b":path") == b"":
        yield "path-empty"
    yield from _authority_violations(lines)
    if connect and b":protocol" in lines:
        if lines.get(b":scheme", b"https") != b"https":
            yield "scheme-not-https"
        if _CONTENT_FIELDS & lines.keys():
            yield "capsule-content-field"


def _line_violations(fields: Sequence[Field]) -> Iterator[str]:
    for name, value in fields:
        if name != name.lower():
            yield "field-name-uppercase"
        if not _NAME.fullmatch(name):
            yield "field-name-invalid"
        if not _VALUE.fullmatch(value):
            yield "field-value-invalid"
        if name in _CONNECTION_SPECIFIC:
            yield "field-connection-specific"
        if name == b"te" and value.strip() != b"trailers":
            yield "field-te"


def _pseudo_violations(fields: Sequence[Field]) -> Iterator[str]:
    seen: set[bytes] = set()
    regular = False
    for name, _ in fields:
        if not name.startswith(b":"):
            regular = True
            continue
        if name not in _REQUEST_PSEUDO:
            yield "pseudo-unknown"
        if regular:
            yield "pseudo-after-field"
        if name in seen:
            yield "pseudo-duplicate"
        seen.add(name)
    lines = dict(reversed(fields))
    plain_connect = lines.get(b":method") == b"CONNECT" and b":protocol" not in seen
    needed = {b":method", b":authority"} if plain_connect else {b":method", b":scheme", b":path"}
    if not needed <= seen or not ({b":authority", b"host"} & lines.keys()):
        yield "pseudo-missing"
    elif b":protocol" in seen and b":authority" not in seen:
        yield "pseudo-missing"  # RFC 8441 §4: an extended CONNECT has :authority.


def _authority_violations(lines: dict[bytes, bytes]) -> Iterator[str]:
    authority, host = lines.get(b":authority"), lines.get(b"host")
    if authority == b"" or (authority is None and host == b""):
        yield "authority-empty"
    if authority is not None and host is not None and authority != host:
        yield "authority-host-differ"
