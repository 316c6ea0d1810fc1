"""Where a source section can be read: from "RFC 9114 §7.2.4" to its address."""

from __future__ import annotations

import re

_RFC = re.compile(r"RFC ?(\d{1,5})")
_DRAFT = re.compile(r"draft-[a-z0-9-]{3,80}-\d\d")
_SECTION = re.compile(r"§ ?(\d{1,3}(?:\.\d{1,3}){0,4})")


def source_url(source: str) -> str | None:
    """Return the address of a source section, None where the document is not known."""
    if rfc := _RFC.match(source):
        base = f"https://www.rfc-editor.org/rfc/rfc{int(rfc[1])}.html"
    elif draft := _DRAFT.match(source):
        base = f"https://datatracker.ietf.org/doc/html/{draft[0]}"
    else:
        return None
    section = _SECTION.search(source)
    return f"{base}#section-{section[1]}" if section else base
