"""Mapping between application error codes of WebTransport streams and HTTP/3 codes.

draft-16 §4.4: the 32-bit application codes lie between FIRST and LAST; the code points of the form
0x1f * N + 0x21 in between are reserved by RFC 9114 §8.1 and have to be skipped. draft-02 §4.3 has
the same first code, but only 8 bits.
"""

from __future__ import annotations

from typing import Final

from conformance.peer.codepoints import is_reserved

FIRST: Final = 0x52E4A40FA8DB
LAST: Final = 0x52E5AC983162
LAST_8_BIT: Final = 0x52E4A40FA9E2
MAX_APPLICATION_CODE: Final = 0xFFFFFFFF


def to_http(code: int) -> int:
    """Map an application code (0 to 2^32-1) into the HTTP/3 range; ValueError outside of it."""
    if not 0 <= code <= MAX_APPLICATION_CODE:
        raise ValueError(f"{code} is not a 32-bit application error code")
    return FIRST + code + code // 0x1E


def from_http(code: int, *, last: int = LAST) -> int | None:
    """Map an HTTP/3 code back; None if it is outside of the range or a reserved code point."""
    if not FIRST <= code <= last or is_reserved(code):
        return None
    shifted = code - FIRST
    return shifted - shifted // 0x1F
