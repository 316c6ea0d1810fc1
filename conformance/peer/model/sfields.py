"""Structured fields as far as WebTransport needs them: Lists of Strings (RFC 9651 §4.2, draft-16 §3.3).

The field is ignored as a whole if anything in it does not parse, or if a member is not a String;
parameters are parsed and dropped. All types have to be parsed to tell one case from the other, but the
result is the same, so everything that is not a String ends the parsing at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# sf-string (RFC 9651 §3.3.3): printable ASCII, with escapes for the quote and the backslash only.
_STRING: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
# One parameter (§3.1.2): key, and a bare item of any type.
_BARE_ITEM: Final = (
    r'(?:"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'  # String
    r"|-?[0-9]{1,12}\.[0-9]{1,3}|-?[0-9]{1,15}"  # Decimal, Integer
    r"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"  # Token
    r"|:[A-Za-z0-9+/=]*:|\?[01]|@-?[0-9]{1,15}"  # Byte Sequence, Boolean, Date
    r'|%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*")'  # Display String
)
_PARAMETERS: Final = re.compile(r"(?:;[ ]*[a-z*][a-z0-9_\-.*]*(?:=" + _BARE_ITEM + r")?)*")
_OWS: Final = re.compile(r"[ \t]*")
_SEPARATOR: Final = re.compile(r",[ \t]*")


def parse_string_list(lines: Sequence[bytes]) -> list[str] | None:
    """Parse the lines of one field as a List of Strings; None if the field is to be ignored."""
    try:
        text = ", ".join(line.decode("ascii") for line in lines).strip(" ")
    except UnicodeDecodeError:
        return None
    values: list[str] = []
    offset = 0
    while offset < len(text):
        member = _STRING.match(text, offset)
        if member is None:
            return None
        values.append(re.sub(r"\\(.)", r"\1", member.group(1)))
        parameters = _PARAMETERS.match(text, member.end())
        offset = parameters.end() if parameters else member.end()
        space = _OWS.match(text, offset)
        offset = space.end() if space else offset
        if offset == len(text):
            break
        separator = _SEPARATOR.match(text, offset)
        if separator is None or separator.end() == len(text):
            return None
        offset = separator.end()
    return values


def bare_string(value: str) -> bytes:
    """Serialize a String (RFC 9651 §4.1.6); ValueError for what a String cannot hold."""
    if any(not 0x20 <= ord(character) <= 0x7E for character in value):
        raise ValueError("a structured field String holds printable ASCII only")
    return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
