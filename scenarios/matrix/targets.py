"""The list of targets, a TOML file::

[[target]]
name = "webtransport-go"        # what the page calls it
peer = "webtransport-go"        # or url = "https://…", or embedded = "model" | "reference"
drafts = ["16"]                 # one run each; default: ["auto"]
endpoints = { close = "/close" }
ca = "ca.pem"                   # below the folder of the file; or insecure = true
baseline = "known.toml"
network = "wifi:1"
select = "WT-4"
declare_draft = 16
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from conformance.harness.embedded import MODULES
from conformance.options import DRAFT_CHOICES, UserError
from reports.files import read_toml
from scenarios.peers.registry import PEERS

SHIPPED: Final = Path(__file__).parents[1] / "targets.toml"
_KINDS: Final[Mapping[str, type]] = {
    "name": str, "url": str, "peer": str, "embedded": str, "drafts": list, "endpoints": dict, "ca": str,
    "insecure": bool, "baseline": str, "network": str, "select": str, "declare_draft": int,
}  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_WAYS: Final = ("url", "peer", "embedded")


class InvalidTargets(UserError, ValueError):
    """The list of targets cannot be used; the text names file and target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixTarget:
    """One entry of the list; exactly one of ``url``, ``peer`` and ``embedded`` is set."""

    name: str
    url: str | None = None
    peer: str | None = None
    embedded: str | None = None
    drafts: tuple[str, ...] = ("auto",)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None
    insecure: bool = False
    baseline: Path | None = None
    network: str | None = None
    select: str | None = None
    declare_draft: int | None = None


def read_targets(path: Path) -> list[MatrixTarget]:
    """Read a list of targets; raises InvalidTargets."""
    value = read_toml(path, InvalidTargets)
    entries = value.get("target")
    if not isinstance(entries, list) or not entries or set(value) != {"target"}:
        raise InvalidTargets(f"{path}: expected tables [[target]], and nothing else")
    targets = [_target(path, entry) for entry in entries]
    names = [target.name for target in targets]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise InvalidTargets(f"{path}: target {doubled!r} occurs twice")
    return targets


def _target(path: Path, entry: Any) -> MatrixTarget:
    if not isinstance(entry, dict) or not _NAME.fullmatch(str(entry.get("name", ""))):
        raise InvalidTargets(f"{path}: a target needs a name of letters, digits, '.', '_' and '-'")
    where = f"{path}: target {entry['name']!r}"
    for key, value in entry.items():
        if key not in _KINDS:
            raise InvalidTargets(f"{where}: there is no key {key!r}; known are {', '.join(_KINDS)}")
        if type(value) is not _KINDS[key]:
            raise InvalidTargets(f"{where}: {key} has the wrong type, expected {_KINDS[key].__name__}")
    if sum(way in entry for way in _WAYS) != 1:
        raise InvalidTargets(f"{where}: expected exactly one of {', '.join(_WAYS)}")
    _known(where, "peer", entry.get("peer"), tuple(PEERS))
    _known(where, "embedded", entry.get("embedded"), tuple(MODULES))
    for draft in entry.get("drafts", ()):
        _known(where, "drafts", draft, DRAFT_CHOICES)
    if not all(isinstance(item, str) for item in entry.get("endpoints", {}).values()):
        raise InvalidTargets(f"{where}: endpoints are paths")
    files = {key: path.parent / entry[key] for key in ("ca", "baseline") if key in entry}
    drafts = tuple(entry.get("drafts", ())) or ("auto",)
    return MatrixTarget(**{**entry, **files, "drafts": drafts})


def _known(where: str, key: str, value: object, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise InvalidTargets(f"{where}: {key} {value!r} is unknown; known are {', '.join(known)}")
