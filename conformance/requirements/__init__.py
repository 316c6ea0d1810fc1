"""The catalogue of requirements: loader and coverage.

The data are the TOML files beside this module; :mod:`conformance.requirements.model` explains them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from conformance.requirements.model import (
    Ambiguity,
    CatalogueError,
    Document,
    Requirement,
    Row,
    Status,
    read_ambiguity,
    read_requirement,
)

__all__ = [
    "Ambiguity",
    "Catalogue",
    "CatalogueError",
    "Coverage",
    "Document",
    "Requirement",
    "Status",
    "by_id",
    "coverage",
    "load",
    "read_catalogue",
]

DATA = Path(__file__).parent
AMBIGUITIES = "ambiguities.toml"


class CaseLike(Protocol):
    """What coverage has to know of a case."""

    @property
    def identifier(self) -> str:
        """Identifier of the case."""

    @property
    def requirements(self) -> Sequence[str]:
        """Identifiers of the rows that the case judges."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rows by document and position, WebTransport first, and the ambiguities that they name."""

    requirements: tuple[Requirement, ...]
    ambiguities: Mapping[str, Ambiguity]

    def documents(self) -> list[Document]:
        """Return the source documents in the order of the rows."""
        return list(dict.fromkeys(requirement.document for requirement in self.requirements))


@dataclass(frozen=True, slots=True)
class Coverage:
    """One row with its status after looking at the cases, and the cases that judge it."""

    requirement: Requirement
    status: Status
    cases: tuple[str, ...]


def read_catalogue(directory: Path) -> Catalogue:
    """Read all TOML files of a directory.

    Raises CatalogueError, naming file and row, for anything that contradicts the rules of the model:
    unreadable TOML, missing, unknown or malformed keys, an ID used twice, an unknown ambiguity.
    """
    ambiguities = {item.identifier: item for item in _ambiguities(directory)}
    known = frozenset(ambiguities)
    seen: dict[str, str] = {}
    requirements: list[Requirement] = []
    for path in sorted(
        directory.glob("*.toml"), key=lambda path: (not path.name.startswith("webtrans"), path.name)
    ):
        if path.name == AMBIGUITIES:
            continue
        content = _parse(path)
        document = _document(content, path.name)
        for row in _rows(content, "requirement", path.name):
            requirement = read_requirement(row, document, known)
            if requirement.identifier in seen:
                raise row.error(f"the ID is already used in {seen[requirement.identifier]}")
            seen[requirement.identifier] = path.name
            requirements.append(requirement)
    return Catalogue(tuple(requirements), ambiguities)


@cache
def catalogue() -> Catalogue:
    """Return the catalogue of the suite; raises CatalogueError."""
    return read_catalogue(DATA)


def load() -> tuple[Requirement, ...]:
    """Return all rows of the suite's catalogue; raises CatalogueError."""
    return catalogue().requirements


@cache
def _index() -> Mapping[str, Requirement]:
    return {requirement.identifier: requirement for requirement in load()}


def by_id(identifier: str) -> Requirement:
    """Return one row; raises KeyError where there is none of this ID."""
    return _index()[identifier]


def coverage(cases: Iterable[CaseLike], rows: Iterable[Requirement] | None = None) -> list[Coverage]:
    """Return each row (of the suite's catalogue, unless ``rows`` says otherwise) with status and cases.

    Raises CatalogueError for a case without requirement, with one that the catalogue lacks, or with one
    that is out of reach.
    """
    requirements = {row.identifier: row for row in (load() if rows is None else rows)}
    named: dict[str, list[str]] = {}
    for case in cases:
        if not case.requirements:
            raise CatalogueError(f"case {case.identifier}: it names no requirement")
        for identifier in case.requirements:
            row = requirements.get(identifier)
            if row is None:
                raise CatalogueError(
                    f"case {case.identifier}: requirement {identifier} is not in the catalogue"
                )
            if row.status is Status.OUT_OF_REACH:
                raise CatalogueError(
                    f"case {case.identifier}: requirement {identifier} is declared out of reach"
                )
            named.setdefault(identifier, []).append(case.identifier)
    return [
        Coverage(
            row,
            Status.COVERED if identifier in named else row.status,
            tuple(sorted(named.get(identifier, ()))),
        )
        for identifier, row in requirements.items()
    ]


def _ambiguities(directory: Path) -> Iterator[Ambiguity]:
    path = directory / AMBIGUITIES
    seen: set[str] = set()
    for row in _rows(_parse(path), "ambiguity", path.name):
        ambiguity = read_ambiguity(row)
        if ambiguity.identifier in seen:
            raise row.error("the ID is used twice")
        seen.add(ambiguity.identifier)
        yield ambiguity


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogueError(f"{path.name}: {error}") from error


def _rows(content: Mapping[str, Any], key: str, file: str) -> Iterator[Row]:
    tables = content.get(key)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise CatalogueError(f"{file}: no [[{key}]] tables")
    unknown = sorted(set(content) - {key, "document"})
    if unknown:
        raise CatalogueError(f"{file}: unknown keys: {', '.join(unknown)}")
    for position, table in enumerate(tables, start=1):
        yield Row(table, file, position)


def _document(content: Mapping[str, Any], file: str) -> Document:
    table = content.get("document")
    if not isinstance(table, dict):
        raise CatalogueError(f"{file}: no [document] table")
    row = Row(table, file, 0)
    document = Document(name=row.text("name"), title=row.text("title"), file=file)
    row.finish()
    return document
