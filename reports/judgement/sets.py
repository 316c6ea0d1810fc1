"""Named, versioned sets of allowed reactions, read from ``sets.toml``."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from reports.judgement import codes
from reports.judgement.reactions import KINDS, Reaction
from reports.verdict import Verdict

STATUS_CLASSES = frozenset({"1xx", "2xx", "not-2xx", "final"})
PARAMETERS = frozenset({"code", "status", "stream", "session", "streams"})
CODE_CLASSES = frozenset({"error", "no_error", "accusation"})


class SetError(ValueError):
    """A set is not known, or a record does not bind the parameters of its set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A pattern over one reaction and the grade that it gives; absent members match everything."""

    id: str
    kinds: tuple[str, ...]
    grade: Verdict
    says: str
    settles: bool = True
    layer: str | None = None
    codes: tuple[str | int, ...] = ()
    code_class: str | None = None
    stream: str | None = None
    status: str | int | None = None
    type: int | None = None

    def matches(self, reaction: Reaction, params: Mapping[str, Any]) -> bool:
        """Tell whether the reaction fits; a name that the record leaves unbound fits nothing."""
        return (
            reaction.kind in self.kinds
            and (self.layer is None or reaction.application == (self.layer == "application"))
            and (self.type is None or reaction.capsule_type == self.type)
            and (self.stream is None or _is_bound(reaction.stream, params, self.stream))
            and (self.status is None or _status_fits(reaction.status, self.status, params))
            and self._code_fits(reaction, params)
        )

    def _code_fits(self, reaction: Reaction, params: Mapping[str, Any]) -> bool:
        if self.codes and not any(_code_is(reaction, code, params) for code in self.codes):
            return False
        return self.code_class is None or _in_class(reaction, self.code_class)


def _is_bound(value: int | None, params: Mapping[str, Any], name: str) -> bool:
    bound = params.get(name.removeprefix("$"))
    return value is not None and (value in bound if isinstance(bound, (list, tuple)) else value == bound)


def _code_is(reaction: Reaction, code: str | int, params: Mapping[str, Any]) -> bool:
    if isinstance(code, str) and code.startswith("$"):
        return _is_bound(reaction.code, params, code)
    if isinstance(code, str):
        table = codes.TRANSPORT if reaction.application is False else codes.APPLICATION
        return reaction.code is not None and reaction.code == table.get(code)
    return reaction.code == code


def _in_class(reaction: Reaction, code_class: str) -> bool:
    code = reaction.code or 0
    if reaction.application is False:
        error = code != codes.TRANSPORT["NO_ERROR"]
        return error if code_class == "error" else not error
    match code_class:
        case "error":
            return code in codes.ERRORS
        case "no_error":
            return code not in codes.ERRORS
        case _:
            return code in codes.ERRORS - codes.BENIGN


def _status_fits(status: int | None, wanted: str | int, params: Mapping[str, Any]) -> bool:
    if status is None:
        return False
    match wanted:
        case int():
            return status == wanted
        case "1xx":
            return 100 <= status <= 199
        case "2xx":
            return 200 <= status <= 299
        case "final":
            return not 100 <= status <= 199
        case "not-2xx":
            return not 100 <= status <= 299
        case _:
            return _is_bound(status, params, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionSet:
    """Allowed reactions; ``each`` names the parameter with the streams that are judged one by one."""

    name: str
    version: int
    title: str
    source: str
    clauses: tuple[Clause, ...]
    deadline: Verdict
    deadline_says: str
    fence: Verdict
    fence_says: str
    params: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    each: str | None = None

    def decide(
        self, reactions: Iterable[Reaction], params: Mapping[str, Any]
    ) -> tuple[Clause, Reaction] | None:
        """Return the first clause, in the order of the set, that a reaction matches, and the reaction."""
        seen = list(reactions)
        for clause in self.clauses:
            for reaction in seen:
                if clause.matches(reaction, params):
                    return clause, reaction
        return None

    def bindings(self, params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the parameters of each judgement: one, or one for each stream of ``each``."""
        self.check(params)
        if self.each is None:
            return [params]
        return [{**params, "stream": stream} for stream in params[self.each]]

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise SetError where a parameter is missing or none at all; one of other sets does no harm."""
        missing = [name for name in self.params if params.get(name) is None]
        unknown = [name for name in params if name not in PARAMETERS]
        if missing:
            raise SetError(f"set {self.name}: {', '.join(missing)} is not given")
        if unknown:
            raise SetError(f"no set has a parameter {', '.join(unknown)}")
        for name, value in params.items():
            if not _whole_numbers(value):
                raise SetError(f"set {self.name}: {name} is not a number or a list of numbers: {value!r}")
        if self.each is not None and (
            not isinstance(params[self.each], (list, tuple)) or not params[self.each]
        ):
            raise SetError(f"set {self.name}: {self.each} is not a list with at least one stream")

    @property
    def by_absence(self) -> bool:
        """Tell whether nothing has to come: the wait ends at a fence, not at a deadline."""
        return self.fence is not Verdict.FAIL

    @property
    def digest(self) -> str:
        """A hash over everything that decides, the version excepted."""
        content = {key: value for key, value in asdict(self).items() if key != "version"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _whole_numbers(value: object) -> bool:
    items = value if isinstance(value, (list, tuple)) else [value]
    return all(item is None or (isinstance(item, int) and not isinstance(item, bool)) for item in items)


@cache
def all_sets() -> Mapping[str, ReactionSet]:
    """Return all sets by name."""
    data = tomllib.loads(files("reports.judgement").joinpath("sets.toml").read_text(encoding="utf-8"))
    return load(data)


def load(data: Mapping[str, Any]) -> Mapping[str, ReactionSet]:
    """Read sets from the parsed TOML; raises SetError where a name, kind or class is not known."""
    fragments = data.get("fragment", {})
    result: dict[str, ReactionSet] = {}
    for entry in data["set"]:
        clauses: list[Clause] = []
        for item in entry["clauses"]:
            clauses += [_clause(part) for part in (fragments[item["use"]] if "use" in item else [item])]
        members = {name: value for name, value in entry.items() if name != "clauses"}
        for name in ("params", "optional"):
            members[name] = tuple(members.get(name, ()))
        for name in ("deadline", "fence"):
            members[name] = Verdict(members[name])
        loaded = ReactionSet(clauses=tuple(clauses), **members)
        if loaded.name in result or len({clause.id for clause in clauses}) != len(clauses):
            raise SetError(f"set {loaded.name}: a name occurs twice")
        result[loaded.name] = loaded
    return result


def _clause(entry: Mapping[str, Any]) -> Clause:
    kinds, listed = entry["kind"], entry.get("code", ())
    members = {name: value for name, value in entry.items() if name not in ("kind", "code", "grade")}
    clause = Clause(
        kinds=(kinds,) if isinstance(kinds, str) else tuple(kinds),
        codes=(listed,) if isinstance(listed, (str, int)) else tuple(listed),
        grade=Verdict(entry["grade"]),
        **members,
    )
    known = {*codes.APPLICATION, *codes.TRANSPORT}
    bad_codes = [c for c in clause.codes if isinstance(c, str) and c[:1] != "$" and c not in known]
    if bad_codes or set(clause.kinds) - KINDS or clause.code_class not in CODE_CLASSES | {None}:
        raise SetError(f"clause {clause.id}: unknown kind, code or class of codes")
    if isinstance(clause.status, str) and clause.status[:1] != "$" and clause.status not in STATUS_CLASSES:
        raise SetError(f"clause {clause.id}: unknown class of status codes")
    return clause


def reaction_set(name: str) -> ReactionSet:
    """Return the set of that name; raises SetError where there is none."""
    found = all_sets().get(name)
    if found is None:
        raise SetError(f"there is no set of allowed reactions called {name!r}")
    return found
