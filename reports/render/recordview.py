"""Records as a reader sees them: a label, a sentence, and the facts behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.escaping import one_line
from reports.judgement import (
    CheckRecord,
    ExpectRecord,
    InformationalRecord,
    Record,
    RecordError,
    SetError,
    from_json,
    judge_record,
    reaction_set,
    reactions_of,
)
from reports.judgement.codes import describe

MAX_REACTIONS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """One record: ``verdict`` "" where the record has none; ``facts`` as name and text."""

    kind: str
    verdict: str
    requirement: str
    sentence: str
    facts: tuple[tuple[str, str], ...] = ()


def record_view(value: Mapping[str, Any]) -> RecordView:
    """Return the view of a record in JSON form; what is no record is shown as it stands."""
    try:
        record = from_json(value)
    except RecordError:
        return RecordView(kind="unknown", verdict="", requirement="", sentence=_text(value))
    if isinstance(record, (ExpectRecord, CheckRecord, InformationalRecord)):
        return _judged(record)
    kind, sentence, verdict = _plain(record)
    return RecordView(kind=kind, verdict=verdict, requirement="", sentence=one_line(sentence, 1000))


def _judged(record: ExpectRecord | CheckRecord | InformationalRecord) -> RecordView:
    grade = judge_record(record)
    twin = " (positive twin)" if getattr(record, "twin", False) else ""
    return RecordView(
        kind=record.record + twin,
        verdict=grade.verdict.value,
        requirement=one_line(", ".join(grade.requirements), 300),
        sentence=one_line(grade.sentence, 1000),
        facts=_expect_facts(record) if isinstance(record, ExpectRecord) else (),
    )


def _expect_facts(record: ExpectRecord) -> tuple[tuple[str, str], ...]:
    reactions = reactions_of(record.events)
    seen = [reaction.describe() for reaction in reactions[:MAX_REACTIONS]]
    if len(reactions) > MAX_REACTIONS:
        seen.append(f"… {len(reactions) - MAX_REACTIONS} more")
    try:
        title = reaction_set(record.set_name).title
    except SetError:
        title = "unknown set"
    params = ", ".join(
        f"{name} {_parameter(name, value)}" for name, value in record.params.items() if value is not None
    )
    ended = {"event": "a deciding event", "deadline": "the deadline", "fence": "the fence"}[record.ended_by]
    return (
        ("allowed", one_line(f"{record.set_name} v{record.set_version}: {title}", 300)),
        ("with", one_line(params or "no parameters", 300)),
        ("window", one_line(f"{record.window_s:.3g} s, ended by {ended}", 100)),
        ("seen", one_line("; ".join(seen) or "nothing", 1000)),
    )


def _parameter(name: str, value: object) -> str:
    if name == "code" and isinstance(value, int):
        return describe(value)
    if name == "code" and isinstance(value, (list, tuple)):
        return " or ".join(describe(item) for item in value if isinstance(item, int))
    return _text(value)


def _plain(record: Record) -> tuple[str, str, str]:
    match record.record:
        case "twin":
            good = (
                "the positive twin succeeded" if getattr(record, "ok", False) else "the positive twin failed"
            )
            return "twin", _joined(good, getattr(record, "reason", "")), ""
        case "sanity":
            state = "the target serves" if getattr(record, "ok", False) else "the target does not serve"
            return f"sanity {getattr(record, 'phase', '')}", _joined(state, getattr(record, "reason", "")), ""
        case "note":
            return "note", str(getattr(record, "text", "")), ""
        case "unsupported":
            return (
                "unsupported",
                f"{getattr(record, 'kind', '')}: {getattr(record, 'proof', '')}",
                "unsupported",
            )
        case _:
            return (
                "error",
                _joined(str(getattr(record, "what", "")), getattr(record, "text", "")),
                "inconclusive",
            )


def _joined(first: str, second: str) -> str:
    return f"{first}: {second}" if second else first


def _text(value: object) -> str:
    return one_line(json.dumps(value, default=str), 500)
