"""The run directory: what a run leaves behind, written so that an interruption loses nothing.

==================== ==========================================================================
events.ndjson        one line for the run, each wire event, each record and each case; flushed per case
evidence/*.json      records, wire logs and replay line of a case
evidence/*.replay.json  replay file of a case
evidence/*.sqlog     qlog of a connection, of cases that want an explanation; *.keys: its TLS secrets
results.json         the verdicts
junit.xml            the same for CI
index.html           the same for people
==================== ==========================================================================
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from reports.files import RunError, below, dump, read_json, stem, write_atomic
from reports.model import CaseResult, Evidence, Results, key_of, results
from reports.render.html import render_html
from reports.render.junit import render_junit
from reports.schemas import SchemaError, problems, validate
from reports.verdict import SEVERITY, Verdict

RESULTS, EVENTS, EVIDENCE, JUNIT, HTML = (
    "results.json",
    "events.ndjson",
    "evidence",
    "junit.xml",
    "index.html",
)


class RunWriter:
    """Writes a run directory while the run is under way.

    ``meta``: at least suite_version, target, draft and time (ISO 8601). What an earlier run left in the
    directory is removed first. Raises RunError where the directory cannot be written.
    """

    def __init__(self, directory: Path, meta: Mapping[str, Any]) -> None:
        self.directory = directory
        self.meta = dict(meta)
        self._cases: dict[tuple[str, str, str], CaseResult] = {}
        try:
            (directory / EVIDENCE).mkdir(parents=True, exist_ok=True)
            _clear(directory)
            self._events: TextIOWrapper = (directory / EVENTS).open("w", encoding="ascii", newline="\n")
        except OSError as error:
            raise RunError(f"cannot write to {directory}: {error.strerror or error}") from None
        self._line({"type": "run", "meta": self.meta})
        self._events.flush()

    @property
    def cases(self) -> list[CaseResult]:
        """The cases written so far, with the path of their evidence."""
        return list(self._cases.values())

    def add(
        self, case: CaseResult, evidence: Evidence, replay: Mapping[str, Any] | None = None
    ) -> CaseResult:
        """Write the evidence of a case, its lines of events.ndjson and, if given, its replay file.

        Returns the case with the path of its evidence. A case given twice replaces the first.
        """
        name = stem(*key_of(case))
        stored = cast(CaseResult, {**case, "evidence": f"{EVIDENCE}/{name}.json"})
        write_atomic(self.directory / EVIDENCE / f"{name}.json", dump(evidence))
        if replay is not None:
            write_atomic(self.directory / EVIDENCE / f"{name}.replay.json", dump(replay, indent=2) + "\n")
        self._cases[key_of(case)] = stored
        origin = {"case": case["id"], "draft": case["draft"]}
        for log in evidence["connections"]:
            for event in log["events"]:
                self._line({"type": "event", **origin, "connection": log["label"], "event": event})
        for record in evidence["records"]:
            self._line({"type": "record", **origin, "record": record})
        self._line({"type": "case", "case": stored})
        self._events.flush()
        return stored

    def close(self) -> None:
        """Close events.ndjson without writing any report; ``finish`` does so too."""
        self._events.close()

    def finish(self, *, known: Mapping[tuple[str, str], str] | None = None, **meta: Any) -> Results:
        """Write results.json, junit.xml and index.html; ``meta`` is added to the run's meta.

        ``known``: the reason by ID and draft of each failure that the baseline knows.
        """
        self._events.close()
        self.meta.update(meta)
        for case in self._cases.values():
            if known and (case["id"], case["draft"]) in known:
                case["known"] = known[case["id"], case["draft"]]
        summed = results(self.meta, self._cases.values())
        write_reports(self.directory, summed)
        return summed

    def _line(self, value: Mapping[str, Any]) -> None:
        self._events.write(dump(value) + "\n")


def _clear(directory: Path) -> None:
    for name in (RESULTS, EVENTS, JUNIT, HTML):
        (directory / name).unlink(missing_ok=True)
    for path in (directory / EVIDENCE).glob("*.draft-*.*"):
        with contextlib.suppress(IsADirectoryError):
            path.unlink()


def write_reports(directory: Path, summed: Results) -> None:
    """Write results.json, junit.xml and index.html of a run directory, each atomically.

    Raises SchemaError where the results do not keep to their schema, RunError for the file system.
    """
    validate("results", summed)
    run = Run(directory, summed)
    write_atomic(directory / RESULTS, dump(summed, indent=1) + "\n")
    write_atomic(directory / JUNIT, render_junit(summed))
    write_atomic(directory / HTML, render_html(summed, run.evidence))


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory that was read."""

    directory: Path
    results: Results

    def evidence(self, case: CaseResult) -> Evidence | None:
        """Read the evidence of a case; None where the run kept none. Raises RunError for a broken file."""
        if case["evidence"] is None:
            return None
        path = below(self.directory, case["evidence"])
        if not path.exists():
            return None
        value = read_json(path)
        found = problems("evidence", {**value, "connections": []} if isinstance(value, dict) else value)
        if not found and not _are_logs(value["connections"]):
            found = ["$.connections: not wire logs"]
        if found:
            raise RunError(f"{path}: {found[0]}")
        return cast(Evidence, value)


def _are_logs(value: object) -> bool:
    # The schema of events is checked by its own tests: wire logs are long and jsonschema is slow.
    return isinstance(value, list) and all(
        isinstance(log, dict)
        and isinstance(log.get("events"), list)
        and isinstance(log.get("label"), str)
        and isinstance(log.get("dropped"), int)
        and all(isinstance(event, dict) for event in log["events"])
        for log in value
    )


def load_run(directory: Path) -> Run:
    """Read a run directory; one whose run was cut off is recovered from events.ndjson.

    Raises RunError where it is none.
    """
    path = directory / RESULTS
    if not path.exists():
        return Run(directory, _recovered(directory))
    value = read_json(path)
    try:
        validate("results", value)
    except SchemaError as error:
        raise RunError(f"{path}: {error}") from None
    return Run(directory, cast(Results, value))


def _recovered(directory: Path) -> Results:
    path = directory / EVENTS
    meta: dict[str, Any] | None = None
    cases: dict[tuple[str, str, str], CaseResult] = {}
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for text in lines:
                line = _line_of(text)
                if line.get("type") == "run":
                    meta = dict(line.get("meta") or {})
                elif line.get("type") == "case":
                    cases[key_of(line["case"])] = line["case"]
    except (OSError, KeyError, TypeError):
        raise RunError(f"{directory} is not a run directory: no {RESULTS}") from None
    if meta is None:
        raise RunError(f"{directory} is not a run directory: no {RESULTS}")
    notes = [*meta.get("notes", ()), "recovered from events.ndjson: the run did not end by itself"]
    value = results({**meta, "interrupted": True, "notes": notes}, cases.values())
    found = problems("results", value)
    if found:
        raise RunError(f"{path}: {found[0]}")
    return value


def _line_of(text: str) -> dict[str, Any]:
    # Wire events are most of the lines and not needed here; the last line may be cut off.
    if text.startswith('{"type":"event"'):
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def merge(runs: Sequence[Run], directory: Path) -> Results:
    """Merge shards into one run directory and render it; of a case that occurs twice, the worse counts.

    Raises RunError where there is nothing to merge.
    """
    if not runs:
        raise RunError("no run directory to merge")
    chosen: dict[tuple[str, str, str], tuple[Run, CaseResult]] = {}
    notes: list[str] = []
    for run in runs:
        notes += [note for note in run.results["meta"].get("notes", ()) if note not in notes]
        for case in run.results["cases"]:
            known = chosen.get(key_of(case))
            if known is not None and known[1]["verdict"] != case["verdict"]:
                notes.append(
                    f"{case['id']}: {known[1]['verdict']} in one shard, {case['verdict']} in another"
                )
            if known is None or _rank(case) < _rank(known[1]):
                chosen[key_of(case)] = (run, case)
    # All evidence is read before the directory is cleared: it may be one of the merged ones.
    kept = [(case, run.evidence(case)) for run, case in chosen.values()]
    traces = {
        name: content
        for (run, _), (_, evidence) in zip(chosen.values(), kept, strict=True)
        for name, content in _traces(run.directory, evidence)
    }
    metas = [run.results["meta"] for run in runs]
    writer = RunWriter(directory, _merged_meta(metas, notes))
    for case, evidence in kept:
        writer.add(case, evidence or _no_evidence(case))
    for name, content in traces.items():
        write_atomic(below(directory, name), content)
    return writer.finish()


def _traces(directory: Path, evidence: Evidence | None) -> Iterator[tuple[str, str]]:
    """Yield path and content of the qlogs and key logs that the evidence names and the run still has."""
    for log in evidence["connections"] if evidence is not None else ():
        for name in (log.get("qlog"), log.get("keylog")):
            if name is not None and (path := below(directory, name)).is_file():
                yield name, path.read_text(encoding="utf-8", errors="replace")


def _rank(case: CaseResult) -> int:
    return SEVERITY.index(Verdict(case["verdict"]))


def _no_evidence(case: CaseResult) -> Evidence:
    return Evidence(
        format="wtconform-evidence",
        version=1,
        id=case["id"],
        draft=case["draft"],
        role=case["role"],
        requirements=[entry["id"] for entry in case["requirements"]],
        records=[],
        connections=[],
        replay=case["replay"],
    )


def _merged_meta(metas: Sequence[Mapping[str, Any]], notes: Iterable[str]) -> dict[str, Any]:
    result = dict(metas[0])
    for name in ("target", "draft", "suite_version"):
        result[name] = ", ".join(dict.fromkeys(str(meta[name]) for meta in metas))
    result["time"] = min(str(meta["time"]) for meta in metas)
    result["notes"] = list(notes)
    result.pop("shard", None)
    if any(meta.get("interrupted") for meta in metas):
        result["interrupted"] = True
    return result
