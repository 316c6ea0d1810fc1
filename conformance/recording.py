"""What a run leaves behind while it runs: the run directory, the spool between processes, the summary."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from conformance.harness.setup import Selection
from conformance.options import EMBEDDED, RunOptions
from reports.baseline import BaselineOutcome, Known, apply_baseline, exit_code_with, load_baseline
from reports.model import CaseResult, Evidence, Results
from reports.store import RunWriter
from reports.verdict import EXIT_INCONCLUSIVE


def suite_version() -> str:
    """Return the version of the suite."""
    try:
        return version("webtransport-conformance")
    except PackageNotFoundError:
        return "in-tree"


def write_spool(spool: Path, case: CaseResult, evidence: Evidence, replay: Mapping[str, Any]) -> Path:
    """Write what a case left for the process that records; return the file."""
    path = spool / f"{uuid.uuid4().hex}.json"
    path.write_text(json.dumps({"case": case, "evidence": evidence, "replay": replay}), encoding="utf-8")
    return path


def read_spool(path: Path) -> tuple[CaseResult, Evidence, dict[str, Any]]:
    """Read and remove what ``write_spool`` wrote."""
    value = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return value["case"], value["evidence"], value["replay"]


def target_arguments(options: RunOptions) -> list[str]:
    """Return the command line that names the same target in the same way."""
    words = [options.target] if options.target not in (None, "embedded") else []
    for name in ("ca", "connect_to", "origin", "client_cert", "declare_draft", "drafts", "network"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if options.insecure:
        words.append("--insecure")
    for name in ("endpoint", "header"):
        for value in getattr(options, name):
            words += [f"--{name}", value]
    return words


# Options that a replay file keeps; fields of requests and keys may be secrets, so that they are left out.
_STORED = ("insecure", "endpoint", "connect_to", "origin", "declare_draft", "drafts", "network")


def stored_target(given: RunOptions) -> dict[str, Any]:
    """Return the target as a replay file names it: how the user named it, an embedded server by its name."""
    kept = {name: getattr(given, name) for name in _STORED}
    if given.ca is not None:
        kept["ca"] = str(given.ca)
    return {"given": given.target or "embedded", **{name: value for name, value in kept.items() if value}}


def restored_target(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of RunOptions that ``stored_target`` kept; what is not of their type is left out."""
    texts = ("ca", "connect_to", "origin", "drafts", "network")
    kept: dict[str, Any] = {name: stored[name] for name in texts if isinstance(stored.get(name), str)}
    if isinstance(stored.get("declare_draft"), int):
        kept["declare_draft"] = stored["declare_draft"]
    # The first replay files said "endpoints".
    endpoints = stored.get("endpoint", stored.get("endpoints"))
    if isinstance(endpoints, list) and all(isinstance(item, str) for item in endpoints):
        kept["endpoint"] = endpoints
    return {**kept, "insecure": stored.get("insecure") is True}


def _name(given: RunOptions, actual: RunOptions) -> str:
    if given.target is not None and given.target not in EMBEDDED:
        return given.target
    return f"embedded {actual.embedded} server" if actual.embedded else "embedded server"


class Recorder:
    """Writes the run directory.

    ``given`` are the user's options, ``actual`` those with the URL of a server of ours.
    """

    def __init__(self, given: RunOptions, actual: RunOptions) -> None:
        self.given = given
        self.arguments = target_arguments(given)
        self.known: list[Known] = load_baseline(given.baseline) if given.baseline else []
        self.results: Results | None = None
        self.expected = 0
        self.notes: list[str] = []
        self._listeners: list[Any] = []
        self._code = EXIT_INCONCLUSIVE
        self._outcome = BaselineOutcome()
        meta: dict[str, Any] = {
            "suite_version": suite_version(),
            "target": _name(given, actual),
            "draft": given.draft,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "url": actual.target or "",
            "role": given.role,
            "strict": given.strict,
        }
        for name in ("shard", "network"):
            if getattr(given, name):
                meta[name] = getattr(given, name)
        self.writer = RunWriter(given.out, meta)
        self.spool = Path(tempfile.mkdtemp(prefix="wtconform-spool-"))

    def listen(self, listener: Any) -> None:
        """Tell ``listener.add(case)`` of each case."""
        self._listeners.append(listener)

    def begin(self, selections: Sequence[Selection]) -> None:
        """Note how many cases are to come, and in which drafts."""
        self.expected = len(selections)
        self.writer.meta["draft"] = ", ".join(dict.fromkeys(item.draft.value for item in selections))

    def add(self, case: CaseResult, evidence: Evidence, replay: Mapping[str, Any]) -> None:
        """Record a case."""
        stored = self.writer.add(case, evidence, replay)
        for listener in self._listeners:
            listener.add(stored)

    def finish(self, *, interrupted: bool = False, **meta: Any) -> int:
        """Write the reports, with what the run knows about itself in ``meta``; return the exit code."""
        notes = list(self.notes)
        missing = self.expected - len(self.writer.cases)
        if missing:
            notes.append(f"{missing} of {self.expected} cases did not run")
        extra: dict[str, Any] = meta | ({"notes": notes} if notes else {})
        if interrupted:
            extra["interrupted"] = True
        if self.known:
            today = datetime.now(UTC).date()
            cases = self.writer.cases
            self._outcome = apply_baseline(cases, self.known, today=today, strict=self.given.strict)
        self.results = self.writer.finish(known=self._outcome.known, **extra)
        self._code = exit_code_with(self.results, self._outcome, strict=self.given.strict)
        if missing and not interrupted and self._code == 0:
            self._code = EXIT_INCONCLUSIVE
        return self._code

    def finish_unreachable(self, text: str) -> None:
        """Write the reports of a run that could not begin."""
        self.results = self.writer.finish(notes=[text])
        self._code = EXIT_INCONCLUSIVE

    @property
    def exit_code(self) -> int:
        """The exit code of the finished run."""
        return self._code

    def closing_lines(self) -> list[str]:
        """Return what is said at the very end: problems of the baseline, where the reports are."""
        lines = [f"baseline: {problem}" for problem in self._outcome.problems]
        return [*lines, f"reports: {self.given.out / 'index.html'}"]

    def close(self) -> None:
        """Release files; the reports are kept."""
        self.writer.close()
        shutil.rmtree(self.spool, ignore_errors=True)
