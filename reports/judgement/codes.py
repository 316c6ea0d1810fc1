"""Names and classes of error codes, read from ``codes.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_DATA: Mapping[str, Any] = tomllib.loads(
    files("reports.judgement").joinpath("codes.toml").read_text(encoding="utf-8")
)

APPLICATION: Mapping[str, int] = _DATA["application"]
TRANSPORT: Mapping[str, int] = _DATA["transport"]
NO_ERROR = frozenset(APPLICATION[name] for name in _DATA["no_error"]["codes"])
BENIGN = frozenset(APPLICATION[name] for name in _DATA["benign"]["codes"])
ERRORS = frozenset(APPLICATION.values()) - NO_ERROR
WT_FIRST: int = _DATA["webtransport_application"]["first"]
WT_LAST: int = _DATA["webtransport_application"]["last"]

# CRYPTO_ERROR: 0x0100 plus the TLS alert (RFC 9000 §20.1).
CRYPTO_FIRST, CRYPTO_LAST = 0x0100, 0x01FF

_APPLICATION_NAMES = {code: name for name, code in APPLICATION.items()}
_TRANSPORT_NAMES = {code: name for name, code in TRANSPORT.items()}


def is_reserved(code: int) -> bool:
    """Tell whether the code is one of 0x1f * N + 0x21, which mean nothing (RFC 9114 §8.1)."""
    return code >= 0x21 and (code - 0x21) % 0x1F == 0


def webtransport_code(code: int) -> int | None:
    """Return the 32-bit application error code behind an HTTP/3 code, None outside of the range.

    draft-ietf-webtrans-http3-16 §4.4: reserved codes inside the range stand for nothing.
    """
    if not WT_FIRST <= code <= WT_LAST or is_reserved(code):
        return None
    shifted = code - WT_FIRST
    return shifted - shifted // 0x1F


def describe(code: int, *, transport: bool = False) -> str:
    """Return a code as people read it: its name where it has one, always its number."""
    number = f"0x{code:02x}"
    if transport:
        if CRYPTO_FIRST <= code <= CRYPTO_LAST:
            return f"CRYPTO_ERROR, TLS alert {code - CRYPTO_FIRST} ({number})"
        name = _TRANSPORT_NAMES.get(code)
    else:
        name = _APPLICATION_NAMES.get(code)
        if name is None and (application := webtransport_code(code)) is not None:
            return f"WebTransport application error {application} ({number})"
    return f"{name} ({number})" if name else number
