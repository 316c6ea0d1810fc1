"""Query parameters of the endpoint contract: decimal numbers in ranges, texts, flags."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlsplit

MAX_TIME_MS: Final = 60_000
MAX_COUNT: Final = 1000
MAX_BYTES: Final = 1 << 20
MAX_CODE: Final = (1 << 32) - 1
_MAX_FIELDS: Final = 100
_MAX_ORDINALS: Final = 64


class BadParameter(ValueError):
    """A known parameter has an impossible value: the request gets status 400."""


class Query:
    """The parameters of a path.

    Raises:
        BadParameter: the query cannot be taken apart.
    """

    def __init__(self, path: str) -> None:
        try:
            self._values = parse_qs(
                urlsplit(path).query,
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        except ValueError as error:
            raise BadParameter(str(error)) from error

    def text(self, name: str, default: str = "") -> str:
        """The last value of a parameter."""
        return self._values.get(name, [default])[-1]

    def optional(self, name: str) -> str | None:
        """The last value of a parameter, `None` where it is absent."""
        return self._values.get(name, [None])[-1]

    def all(self, name: str) -> list[str]:
        """All values of a repeatable parameter."""
        return self._values.get(name, [])

    def number(self, name: str, default: int = 0, *, low: int = 0, high: int = MAX_COUNT) -> int:
        """A decimal number within a range.

        Raises:
            BadParameter: it is none.
        """
        text = self.optional(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 20 or not low <= int(text) <= high:
            raise BadParameter(f"{name}={text[:40]!r} is not a number from {low} to {high}")
        return int(text)

    def ordinals(self, name: str) -> frozenset[int]:
        """Numbers between commas; none where the parameter is absent.

        Raises:
            BadParameter: they are none, or too many.
        """
        try:
            return read_ordinals(self.text(name))
        except ValueError as error:
            raise BadParameter(f"{name}: {error}") from error

    def flag(self, name: str, default: bool = False) -> bool:
        """0 or 1."""
        return bool(self.number(name, int(default), high=1))

    def milliseconds(self, name: str) -> float:
        """A time, in seconds."""
        return self.number(name, high=MAX_TIME_MS) / 1000

    def code(self, name: str = "code") -> int:
        """A 32-bit application code."""
        return self.number(name, high=MAX_CODE)

    def octets(self, name: str) -> bytes | None:
        """A byte string in hexadecimal, `None` where it is absent."""
        text = self.optional(name)
        try:
            return None if text is None else bytes.fromhex(text)
        except ValueError as error:
            raise BadParameter(f"{name} is not hexadecimal") from error


def read_ordinals(text: str) -> frozenset[int]:
    """Numbers of at most nine digits between commas.

    Raises:
        ValueError: they are none, or more than 64.
    """
    words = [word for word in text.split(",", _MAX_ORDINALS) if word]
    if any(not (word.isascii() and word.isdigit() and len(word) < 10) for word in words):
        raise ValueError(f"{text[:40]!r} are not numbers between commas")
    return frozenset(int(word) for word in words)


def pattern(size: int) -> bytes:
    """Bytes that a server makes up: `i mod 251`."""
    period = bytes(range(251))
    return (period * (size // 251 + 1))[:size]
