"""What a row of the catalogue holds, and the rules that each row has to keep.

The catalogue is TOML, one file per source document: a ``[document]`` table with ``name`` and ``title``,
then one ``[[requirement]]`` for each row. The keys of a row:

``id``              stable for ever
``section``         of the source document, without the sign
``level``           MUST, SHOULD, MAY or IMPLIED (no keyword: it follows from a format or a permission)
``role``            who is bound: server, client, both, intermediary
``category``        area of the protocol
``text``            the requirement in our words
``test``            stimulus and expected reaction; T is the tester, IUT the implementation under test
``testability``     wire, needs-cooperation (of the target's application) or untestable
``note``            optional: exact section, level in older drafts, what limits the verdict
``ambiguities``     optional: double readings that touch the row (ambiguities.toml)
``limit``           optional: how far a violation goes at most: none (default), non_strict, informational
``drafts``          the drafts, as the peer names them, in which the row holds; 16 stands for -15/-16 and
                    14 for -13/-14, since each pair shares a code point
``not_in``          optional: member of such a pair in which the row does not hold; a violation is then
                    informational unless the target has declared its exact draft
``drafts_verified`` true where ``drafts`` was read off the texts of all four drafts
``status``          planned or out_of_reach; a row becomes covered by a case that names it
``reason``          of out_of_reach
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

# The drafts that the peer speaks, newest first, and the drafts that share the code point of each.
DRAFTS: Mapping[str, frozenset[str]] = {
    "16": frozenset({"15", "16"}),
    "14": frozenset({"13", "14"}),
    "07": frozenset({"07"}),
    "02": frozenset({"02"}),
}

_ID = re.compile(r"[A-Z][A-Z0-9]*(-[0-9][0-9.]*)?-[0-9]{2}")
_SECTION = re.compile(r"[0-9]+(\.[0-9]+)*")
_CATEGORY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_AMBIGUITY = re.compile(r"AMB-[0-9]{2}")


class Level(StrEnum):
    """How strongly the source demands it (RFC 2119); IMPLIED has no keyword in the text."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    IMPLIED = "IMPLIED"


class Role(StrEnum):
    """Who is bound."""

    SERVER = "server"
    CLIENT = "client"
    BOTH = "both"
    INTERMEDIARY = "intermediary"


class Testability(StrEnum):
    """What it takes to see a violation."""

    # pytest collects classes by this prefix of the name.
    __test__ = False

    WIRE = "wire"
    NEEDS_COOPERATION = "needs-cooperation"
    UNTESTABLE = "untestable"


class Limit(StrEnum):
    """The worst verdict that a violation can lead to; NONE leaves it to the level."""

    NONE = "none"
    NON_STRICT = "non_strict"
    INFORMATIONAL = "informational"


class Status(StrEnum):
    """Where a row stands. COVERED is never written down, it follows from the cases."""

    COVERED = "covered"
    PLANNED = "planned"
    OUT_OF_REACH = "out_of_reach"


class CatalogueError(ValueError):
    """The catalogue contradicts its rules; the text names file and row."""


@dataclass(frozen=True, slots=True)
class Document:
    """A source document."""

    name: str
    title: str
    file: str


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """A double reading of a specification."""

    identifier: str
    text: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of the catalogue; the module's docstring explains the fields."""

    identifier: str
    document: Document
    section: str
    level: Level
    role: Role
    category: str
    text: str
    test: str
    testability: Testability
    note: str
    ambiguities: tuple[str, ...]
    limit: Limit
    drafts: tuple[str, ...]
    not_in: tuple[str, ...]
    drafts_verified: bool
    status: Status
    reason: str

    @property
    def source(self) -> str:
        """Document and section, such as ``RFC 9114 §7.2.4``."""
        return f"{self.document.name} §{self.section}"

    def binds(self, role: str) -> bool:
        """Tell whether an implementation in the role "server" or "client" is bound."""
        return self.role in (role, Role.BOTH)


_Choice = TypeVar("_Choice", bound=StrEnum)


class Row:
    """One table of a TOML file, read key by key; every complaint names file and row."""

    def __init__(self, table: Mapping[str, Any], file: str, position: int) -> None:
        self._rest = dict(table)
        identifier = table.get("id")
        self._where = f"{file}: {identifier if isinstance(identifier, str) else f'row {position}'}"

    def error(self, complaint: str) -> CatalogueError:
        """Return the error to raise for this row."""
        return CatalogueError(f"{self._where}: {complaint}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None, default: str | None = None) -> str:
        """Take a string that is not empty and matches the pattern."""
        value = self._rest.pop(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise self.error(f"{key} is missing or not a text")
        if pattern is not None and not pattern.fullmatch(value):
            raise self.error(f"{key} {value!r} is malformed")
        return value

    def choice(self, key: str, choices: type[_Choice], default: _Choice | None = None) -> _Choice:
        """Take one of the values of an enumeration."""
        value = self._rest.pop(key, default)
        try:
            return choices(value)
        except ValueError:
            allowed = ", ".join(choices)
            raise self.error(f"{key} {value!r} is not one of {allowed}") from None

    def flag(self, key: str) -> bool:
        """Take a boolean."""
        value = self._rest.pop(key, None)
        if not isinstance(value, bool):
            raise self.error(f"{key} is missing or not a boolean")
        return value

    def texts(
        self, key: str, allowed: frozenset[str] | None = None, *, required: bool = False
    ) -> tuple[str, ...]:
        """Take a list of strings without repetition, each of them allowed."""
        value = self._rest.pop(key, None if required else [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"{key} is missing or not a list of texts")
        if len(set(value)) != len(value):
            raise self.error(f"{key} names something twice")
        unknown = [] if allowed is None else sorted(set(value) - allowed)
        if unknown:
            raise self.error(f"{key} has unknown members: {', '.join(unknown)}")
        return tuple(value)

    def finish(self) -> None:
        """Complain about keys that nobody took."""
        if self._rest:
            raise self.error(f"unknown keys: {', '.join(sorted(self._rest))}")


def read_ambiguity(row: Row) -> Ambiguity:
    """Turn a table of ambiguities.toml into an Ambiguity; raises CatalogueError."""
    result = Ambiguity(identifier=row.text("id", _AMBIGUITY), text=row.text("text"))
    row.finish()
    return result


def read_requirement(row: Row, document: Document, ambiguities: frozenset[str]) -> Requirement:
    """Turn a ``[[requirement]]`` table into a Requirement; raises CatalogueError."""
    result = Requirement(
        identifier=row.text("id", _ID),
        document=document,
        section=row.text("section", _SECTION),
        level=row.choice("level", Level),
        role=row.choice("role", Role),
        category=row.text("category", _CATEGORY),
        text=row.text("text"),
        test=row.text("test"),
        testability=row.choice("testability", Testability),
        note=row.text("note", default=""),
        ambiguities=row.texts("ambiguities", ambiguities),
        limit=row.choice("limit", Limit, Limit.NONE),
        drafts=row.texts("drafts", frozenset(DRAFTS), required=True),
        not_in=row.texts("not_in", frozenset().union(*DRAFTS.values())),
        drafts_verified=row.flag("drafts_verified"),
        status=row.choice("status", Status),
        reason=row.text("reason", default=""),
    )
    row.finish()
    _check(row, result)
    return result


def _check(row: Row, requirement: Requirement) -> None:
    if requirement.status is Status.COVERED:
        raise row.error("status covered is computed from the cases, not written down")
    if (requirement.status is Status.OUT_OF_REACH) != bool(requirement.reason):
        raise row.error("reason belongs to out_of_reach, and only there")
    if requirement.testability is Testability.UNTESTABLE and requirement.status is not Status.OUT_OF_REACH:
        raise row.error("an untestable row is out_of_reach")
    if not requirement.drafts and requirement.status is not Status.OUT_OF_REACH:
        raise row.error("a row that holds in none of the drafts is out_of_reach")
    for exact in requirement.not_in:
        pair = next(draft for draft, exacts in DRAFTS.items() if exact in exacts)
        if pair not in requirement.drafts:
            raise row.error(f"not_in names {exact}, but drafts lacks {pair}")
