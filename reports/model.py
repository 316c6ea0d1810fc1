"""The JSON forms of a run: results.json, evidence and what they are built from.

The published schemas in ``reports.schemas`` say the same for readers in other languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from reports.judgement import CaseJudgement, Record, to_json
from reports.verdict import Verdict, summarise

RESULTS_FORMAT = "wtconform-results"
EVIDENCE_FORMAT = "wtconform-evidence"
REPLAY_FORMAT = "wtconform-replay"
VERSION = 1


class RequirementResult(TypedDict):
    """One requirement of a case; ``reaction`` is what decided, stable from run to run."""

    id: str
    level: str
    source: str
    text: str
    verdict: str
    reaction: NotRequired[str]


class CaseResult(TypedDict):
    """One case of results.json; ``evidence`` is a path below the run directory, ``replay`` a command."""

    id: str
    area: str
    title: str
    requirements: list[RequirementResult]
    role: str
    draft: str
    verdict: str
    reason: str
    signature: str
    duration_s: float
    evidence: str | None
    replay: str
    description: NotRequired[str]
    version: NotRequired[int]
    witness: NotRequired[str | None]
    weak: NotRequired[bool]
    known: NotRequired[str]


class Results(TypedDict):
    """results.json."""

    format: str
    version: int
    meta: dict[str, Any]
    summary: dict[str, int]
    cases: list[CaseResult]


class ConnectionLog(TypedDict):
    """The wire log of one connection; ``dropped``: how many events the bound cut off at the end."""

    label: str
    events: list[dict[str, Any]]
    dropped: int
    qlog: NotRequired[str]
    keylog: NotRequired[str]


class Evidence(TypedDict):
    """evidence/CASE.json: what a verdict rests on."""

    format: str
    version: int
    id: str
    draft: str
    role: str
    requirements: list[str]
    records: list[dict[str, Any]]
    connections: list[ConnectionLog]
    replay: str


def area_of(case_id: str) -> str:
    """The part of the specification that a case belongs to: the first part of its ID."""
    return case_id.partition(".")[0]


def key_of(case: Mapping[str, Any]) -> tuple[str, str, str]:
    """What makes a case of one run the same as one of another: ID, draft and role."""
    return str(case["id"]), str(case["draft"]), str(case["role"])


def case_result(
    judgement: CaseJudgement,
    *,
    case_id: str,
    rows: Mapping[str, Mapping[str, str]],
    draft: str,
    duration_s: float,
    replay: str,
    role: str = "server",
    title: str = "",
    description: str = "",
    version: int = 1,
    witness: str | None = None,
) -> CaseResult:
    """Build the case of results.json; ``rows`` maps requirement IDs to level, source and text."""
    return CaseResult(
        id=case_id,
        area=area_of(case_id),
        title=title,
        description=description,
        version=version,
        requirements=requirement_results(judgement, rows),
        role=role,
        draft=draft,
        verdict=judgement.verdict.value,
        reason=judgement.reason,
        signature=judgement.signature,
        duration_s=round(duration_s, 4),
        evidence=None,
        replay=replay,
        witness=witness,
        weak=judgement.weak,
    )


def requirement_results(
    judgement: CaseJudgement, rows: Mapping[str, Mapping[str, str]]
) -> list[RequirementResult]:
    """Return the requirements of a judgement, worst first, with what the catalogue says of them."""
    listed = []
    for name, verdict in judgement.requirements.items():
        row = rows.get(name, {})
        entry = RequirementResult(
            id=name,
            level=row.get("level", ""),
            source=row.get("source", ""),
            text=row.get("text", ""),
            verdict=verdict.value,
        )
        if name in judgement.reactions:
            entry["reaction"] = judgement.reactions[name]
        listed.append(entry)
    return listed


def evidence(
    case: CaseResult,
    records: Iterable[Record],
    connections: Sequence[Mapping[str, Any]] = (),
    *,
    max_events: int = 5000,
) -> Evidence:
    """Build the evidence of a case; each wire log is cut behind ``max_events`` events, visibly."""
    logs = []
    for connection in connections:
        events = list(connection["events"])
        log = ConnectionLog(
            label=str(connection["label"]),
            events=events[:max_events],
            dropped=int(connection.get("dropped", 0)) + max(0, len(events) - max_events),
        )
        if "qlog" in connection:
            log["qlog"] = str(connection["qlog"])
        if "keylog" in connection:
            log["keylog"] = str(connection["keylog"])
        logs.append(log)
    return Evidence(
        format=EVIDENCE_FORMAT,
        version=VERSION,
        id=case["id"],
        draft=case["draft"],
        role=case["role"],
        requirements=[requirement["id"] for requirement in case["requirements"]],
        records=[to_json(record) for record in records],
        connections=logs,
        replay=case["replay"],
    )


def results(meta: Mapping[str, Any], cases: Iterable[CaseResult]) -> Results:
    """Build results.json: the cases ordered by ID, draft and role, and the counts of their verdicts."""
    ordered = sorted(cases, key=key_of)
    return Results(
        format=RESULTS_FORMAT,
        version=VERSION,
        meta=dict(meta),
        summary=summarise(Verdict(case["verdict"]) for case in ordered),
        cases=ordered,
    )


def replay_file(
    case: CaseResult,
    *,
    target: Mapping[str, Any],
    seed: int | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Build the replay file of a case: what to run again and what it showed."""
    reactions = [entry["reaction"] for entry in case["requirements"] if "reaction" in entry]
    return {
        "format": REPLAY_FORMAT,
        "version": VERSION,
        "kind": "case",
        "id": case["id"],
        "draft": case["draft"],
        "role": case["role"],
        "target": dict(target),
        "seed": seed,
        "steps": [dict(step) for step in steps],
        "expected": {
            "verdict": case["verdict"],
            "signature": case["signature"],
            "reaction": reactions[0] if reactions else "",
        },
    }
