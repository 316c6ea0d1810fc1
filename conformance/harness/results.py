"""From an outcome to the forms of the reports: case result, evidence and replay file."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from conformance.harness.runner import Outcome, log_json
from conformance.requirements import by_id
from reports.model import CaseResult, Evidence, case_result, evidence, replay_file


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
    outcome: Outcome, *, arguments: Iterable[str], target: Mapping[str, Any]
) -> tuple[CaseResult, Evidence, dict[str, Any]]:
    """Return case result, evidence and replay file; ``arguments`` name the target on the command line."""
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
    connections: list[Mapping[str, Any]] = list(log_json(outcome.connections))
    return result, evidence(result, outcome.records, connections), replay_file(result, target=target)
