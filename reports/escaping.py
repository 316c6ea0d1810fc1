"""Strings from the wire made safe for terminals, XML and HTML.

Whatever could steer a terminal, break XML or hide text is written out visibly; markup is the business
of the writer of the format.
"""

from __future__ import annotations

import re

MAX_TEXT = 4000

# C0 and C1 controls except tab and line feed, the line and paragraph separators, marks that change the
# direction of text or have no width, lone surrogates, and what XML 1.0 forbids (§2.2).
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\ufffe\uffff]"
)


def visible(text: object, limit: int = MAX_TEXT) -> str:
    """Return the text with hidden characters written out, cut behind ``limit`` characters with a mark."""
    string = str(text)
    cut = string[:limit]
    shown = _HIDDEN.sub(_written_out, cut)
    return shown if len(string) <= limit else f"{shown}… ({len(string)} characters)"


def one_line(text: object, limit: int = MAX_TEXT) -> str:
    """Return the text visible and in one line."""
    return visible(text, limit).replace("\n", "\\n").replace("\t", " ")


def _written_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
