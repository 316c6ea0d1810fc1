"""Query parameters of the endpoint contract (docs/endpoints.md): bounded numbers, texts, byte strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_MILLISECONDS: Final = 60_000
MAX_COUNT: Final = 1000
MAX_BYTES: Final = 1_048_576
MAX_CODE: Final = 0xFFFFFFFF


class InvalidParameter(ValueError):
    """A known parameter has an impossible value."""


class Parameters:
    """The parameters of one request; unknown ones are never asked for."""

    def __init__(self, query: Sequence[tuple[str, str]]) -> None:
        self._query = query

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return the first value, or ``default`` without one."""
        return next((value for key, value in self._query if key == name), default)

    def texts(self, name: str) -> list[str]:
        """Return all values."""
        return [value for key, value in self._query if key == name]

    def number(self, name: str, default: int = 0, *, least: int = 0, most: int = MAX_COUNT) -> int:
        """Return a decimal number between ``least`` and ``most``; InvalidParameter for anything else."""
        text = self.text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
            raise InvalidParameter(f"{name}={text[:20]}")
        return int(text)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return whether the parameter is 1; InvalidParameter unless it is 0 or 1."""
        return bool(self.number(name, int(default), most=1))

    def seconds(self, name: str) -> float:
        """Return milliseconds as seconds."""
        return self.number(name, most=MAX_MILLISECONDS) / 1000

    def hexadecimal(self, name: str) -> bytes:
        """Return a byte string, empty without one; InvalidParameter if it is not hexadecimal."""
        try:
            return bytes.fromhex(self.text(name, "") or "")
        except ValueError as error:
            raise InvalidParameter(name) from error
