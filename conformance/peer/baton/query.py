"""The query parameters of the session request (§3.1): version, baton and count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from conformance.peer.baton.codes import PATH, VERSION

DEFAULT_CAPACITY: Final = 256
MAX_DIGITS: Final = 20
ACCEPT: Final = frozenset({"accept"})
REFUSE: Final = frozenset({"refuse"})
EITHER: Final = ACCEPT | REFUSE

_INTEGER: Final = re.compile(r"-?[0-9]+", re.ASCII)
_PLAIN: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a session was asked for; ``baton`` None leaves the initial value to the server."""

    version: int = VERSION
    baton: int | None = None
    count: int = 1

    def path(self) -> str:
        """Return the path of a request with these parameters, defaults left out."""
        named = {
            "version": self.version or None,
            "baton": self.baton,
            "count": self.count if self.count != 1 else None,
        }
        query = urlencode({name: value for name, value in named.items() if value is not None})
        return f"{PATH}?{query}" if query else PATH


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request has to be answered with a 4xx status; ``requirement`` is the row that says so."""

    parameter: str
    requirement: str


def read_query(
    query: str | Sequence[tuple[str, str]], capacity: int = DEFAULT_CAPACITY
) -> Parameters | Refusal:
    """Read the query as a server does that serves at most ``capacity`` batons.

    Unknown parameters are ignored, of a repeated one the first counts, and a count that is no positive
    integer is refused (the draft leaves these three open).
    """
    values: dict[str, str] = {}
    for name, value in _pairs(query):
        values.setdefault(name, value)
    version = _integer(values.get("version"), VERSION)
    if version != VERSION:
        return Refusal("version", "DB-3-03")
    baton = _integer(values["baton"], None) if "baton" in values else None
    if "baton" in values and (baton is None or not 1 <= baton <= 255):
        return Refusal("baton", "DB-3-04")
    count = _integer(values.get("count"), 1)
    if count is None or not 1 <= count <= capacity:
        return Refusal("count", "DB-3-05")
    return Parameters(version=version, baton=baton, count=count)


def allowed_answers(query: str | Sequence[tuple[str, str]]) -> frozenset[str]:
    """Return how a server may answer a request: a non-empty subset of ``accept`` and ``refuse`` (4xx).

    Whatever the draft leaves open gives both: unknown and repeated parameters, empty values, unusual forms of
    a number, and every count but 1 (what a server can serve is its own affair, and nothing is said about a
    count that is no positive integer).
    """
    answers: dict[str, frozenset[str]] = {}
    for name, value in _pairs(query):
        answers[name] = answers.get(name, frozenset()) | _answers(name, value)
    if REFUSE in answers.values():
        return REFUSE
    return ACCEPT if all(answer == ACCEPT for answer in answers.values()) else EITHER


def _answers(name: str, value: str) -> frozenset[str]:
    valid: dict[str, range] = {"version": range(VERSION, VERSION + 1), "baton": range(1, 256)}
    if name == "count" and value == "1":
        return ACCEPT
    if name not in valid or value == "":
        return EITHER
    number = _integer(value, None)
    if number is None or number not in valid[name]:
        return REFUSE
    return ACCEPT if _PLAIN.fullmatch(value) else EITHER


def _pairs(query: str | Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    if isinstance(query, str):
        return parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    return query


def _integer(text: str | None, default: int | None) -> int | None:
    """Return a decimal integer, None for anything else."""
    if text is None:
        return default
    return int(text) if _INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS else None
