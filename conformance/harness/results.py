"""From an outcome to the forms of the reports: case result, evidence and replay file."""

from __future__ import annotations

import io
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conformance.harness.runner import Connection, Outcome, log_json
from conformance.peer import qlog
from conformance.requirements import by_id
from reports.files import stem, write_atomic
from reports.model import CaseResult, Evidence, case_result, evidence, key_of, replay_file
from reports.store import EVIDENCE
from reports.verdict import Verdict

# Cases with these verdicts leave qlog and key log, too, unless the user asks for those of all cases.
EXPLAINED = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NON_STRICT)


def rows(identifiers: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what the catalogue says of each requirement, in the form of results.json."""
    found = {}
    for identifier in identifiers:
        row = by_id(identifier)
        found[identifier] = {"level": row.level.value, "source": row.source, "text": row.text}
    return found


def replay_command(case_id: str, draft: str, arguments: Iterable[str]) -> str:
    """Return the line that plays one case again against the same target."""
    return shlex.join(["wtconform", "run", *arguments, "--select", case_id, "--draft", draft])


def assemble(
    outcome: Outcome,
    *,
    arguments: Iterable[str],
    target: Mapping[str, Any],
    directory: Path | None = None,
    traces: bool = False,
) -> tuple[CaseResult, Evidence, dict[str, Any]]:
    """Return case result, evidence and replay file; ``arguments`` name the target on the command line.

    With a run ``directory``, qlog and key log of the connections are written into it, for each case where
    ``traces`` is set, else for those whose verdict wants an explanation.
    """
    case = outcome.case
    result = case_result(
        outcome.judgement,
        case_id=case.identifier,
        rows=rows({*case.requirements, *outcome.judgement.requirements}),
        draft=outcome.draft.value,
        duration_s=outcome.duration,
        replay=replay_command(case.identifier, outcome.draft.value, arguments),
        role=case.role,
        title=case.title,
        description=case.description,
        version=case.version,
        witness=case.witness,
    )
    connections: list[dict[str, Any]] = log_json(outcome.connections)
    if directory is not None and (traces or outcome.judgement.verdict in EXPLAINED):
        name = f"{EVIDENCE}/{stem(*key_of(result))}"
        for number, (connection, log) in enumerate(zip(outcome.connections, connections, strict=True), 1):
            log |= _write_trace(directory, f"{name}.{number}", connection)
    return result, evidence(result, outcome.records, connections), replay_file(result, target=target)


def _write_trace(directory: Path, name: str, connection: Connection) -> dict[str, str]:
    """Write qlog and key log of a connection below the run directory; return the keys that name them."""
    text = io.StringIO()
    # Events carry the monotonic clock.
    reference = time.time() - time.monotonic()
    qlog.write(text, connection.events, is_client=True, title=connection.label, reference=reference)
    written = {"qlog": f"{name}.sqlog"}
    write_atomic(directory / written["qlog"], text.getvalue())
    if connection.keylog:
        written["keylog"] = f"{name}.keys"
        write_atomic(directory / written["keylog"], connection.keylog)
    return written
