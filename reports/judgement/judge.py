"""The judge: from the records of a case to its verdicts. Pure and deterministic.

No clock, no files, no target: the same records and the same sets give the same verdicts for ever, so
that a stored run can be judged again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.judgement.operators import holds
from reports.judgement.reactions import Reaction, reactions_of
from reports.judgement.records import (
    CheckRecord,
    ErrorRecord,
    ExpectRecord,
    InformationalRecord,
    Record,
    SanityRecord,
    TwinRecord,
    UnsupportedRecord,
)
from reports.judgement.sets import SetError, reaction_set
from reports.verdict import SEVERITY, Verdict, worst

# A reason is read in a table; all sentences stand with their records.
MAX_SENTENCES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The judgement of one record.

    ``raw`` is the grade by the set alone, ``verdict`` the same seen through the level of the
    requirement. ``reaction``: class and code, stable from run to run. ``clause``: which clause decided
    (``deadline`` or ``fence`` where nothing matched). ``weak``: evidence by absence. ``missing``: the
    fail rests on a reaction that did not come, so that a second run alone has to confirm it.
    """

    requirements: tuple[str, ...]
    verdict: Verdict
    raw: Verdict
    sentence: str
    reaction: str
    set_name: str = ""
    clause: str = ""
    weak: bool = False
    missing: bool = False
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseJudgement:
    """The judgement of a case; ``requirements`` maps each requirement to its verdict, worst first.

    ``needs_confirmation``: a fail that only a second run of the case alone makes certain.
    ``reactions``: what decided each requirement, stable from run to run.
    """

    verdict: Verdict
    requirements: Mapping[str, Verdict]
    reason: str
    signature: str
    reactions: Mapping[str, str] = field(default_factory=dict)
    needs_confirmation: bool = False
    weak: bool = False


def more_needed(set_name: str, params: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> bool:
    """Tell a live run whether the window has to stay open: no event seen so far settles it.

    Raises SetError for an unknown set or wrong parameters.
    """
    chosen = reaction_set(set_name)
    reactions = reactions_of(events)
    if any(reaction.kind == "own_close" for reaction in reactions):
        return False
    for bound in chosen.bindings(params):
        decided = chosen.decide(reactions, bound)
        if decided is None or not decided[0].settles:
            return True
    return False


def problem(record: ExpectRecord) -> str | None:
    """Say in a sentence why the record is no pass, None where it is one: what a positive twin needs."""
    grade = judge_record(record)
    return None if grade.raw is Verdict.PASS else grade.sentence


def judge_record(record: ExpectRecord | CheckRecord | InformationalRecord) -> Grade:
    """Judge one record by itself."""
    match record:
        case ExpectRecord():
            return _judge_expect(record)
        case CheckRecord():
            return _judge_check(record)
        case _:
            return Grade(
                requirements=(record.requirement, *record.also),
                verdict=Verdict.INFORMATIONAL,
                raw=Verdict.INFORMATIONAL,
                sentence=record.text,
                reaction=f"observed {json.dumps(record.observed, sort_keys=True)}",
            )


def _judge_expect(record: ExpectRecord) -> Grade:
    requirements = (record.requirement, *record.also)
    try:
        chosen = reaction_set(record.set_name)
        bindings = chosen.bindings(record.params)
    except SetError as error:
        return _unjudged(requirements, str(error), record.set_name)
    if record.set_version > chosen.version:
        text = f"set {chosen.name}: the record wants version {record.set_version}, known is {chosen.version}"
        return _unjudged(requirements, text, record.set_name)
    reactions = reactions_of(record.events)
    if any(reaction.kind == "own_close" for reaction in reactions):
        return _unjudged(requirements, "our own side closed the connection", record.set_name)
    grades = []
    for bound in bindings:
        decided = chosen.decide(reactions, bound)
        if decided is not None:
            clause, reaction = decided
            grades.append(
                _seen(record, clause.grade, f"{clause.says}: {reaction.describe()}", reaction, clause.id)
            )
        else:
            grades.append(_silence(record, bound, reacted=bool(reactions)))
    level = worst(grade.verdict for grade in grades)
    return next(grade for grade in grades if grade.verdict is level)


def _seen(record: ExpectRecord, raw: Verdict, sentence: str, reaction: Reaction, clause: str) -> Grade:
    return Grade(
        requirements=(record.requirement, *record.also),
        verdict=_by_level(raw, record),
        raw=raw,
        sentence=_softened(sentence, record.soft),
        reaction=reaction.label,
        set_name=record.set_name,
        clause=clause,
        missing=reaction.kind == "connection_lost",
        confirmed=record.confirmed,
    )


def _silence(record: ExpectRecord, bound: Mapping[str, Any], *, reacted: bool) -> Grade:
    chosen = reaction_set(record.set_name)
    # A window that an event ended, but no clause knows the event, was a deadline for all others. Where
    # nothing has to come, any reaction shows that the target did not hang: only dead silence is none.
    ended = "fence" if record.ended_by == "fence" else "deadline"
    if chosen.by_absence and (reacted or record.ended_by == "event"):
        ended = "fence"
    raw = chosen.fence if ended == "fence" else chosen.deadline
    says = chosen.fence_says if ended == "fence" else chosen.deadline_says
    if chosen.each is not None:
        says += f" (stream {bound['stream']})"
    if raw is Verdict.FAIL and ended == "deadline":
        says += f" within {record.window_s:.3g} s"
    return Grade(
        requirements=(record.requirement, *record.also),
        verdict=_by_level(raw, record),
        raw=raw,
        sentence=_softened(says, record.soft),
        reaction=f"silence {ended}",
        set_name=record.set_name,
        clause=ended,
        weak=raw is not Verdict.FAIL,
        missing=raw is Verdict.FAIL,
        confirmed=record.confirmed,
    )


def _judge_check(record: CheckRecord) -> Grade:
    requirements = (record.requirement, *record.also)
    try:
        held = holds(record.operator, record.observed, record.expected)
    except (TypeError, KeyError):
        text = f"{record.name}: {record.observed!r} cannot be compared by {record.operator!r}"
        return _unjudged(requirements, text, "")
    raw = Verdict.PASS if held else Verdict(record.broken)
    observed, expected = _short(record.observed), _short(record.expected)
    sentence = (
        f"{record.name}: {observed}"
        if held
        else (f"{record.name}: observed {observed}, expected {record.operator} {expected}")
    )
    return Grade(
        requirements=requirements,
        verdict=_by_level(raw, record),
        raw=raw,
        sentence=_softened(sentence, record.soft),
        reaction=f"check {record.name} {record.operator} {'held' if held else 'broken'}",
    )


def _short(value: object, limit: int = 120) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _softened(sentence: str, soft: str | None) -> str:
    return sentence if soft is None else f"{sentence} (not judged: {soft})"


def _unjudged(requirements: tuple[str, ...], text: str, set_name: str) -> Grade:
    return Grade(
        requirements=requirements,
        verdict=Verdict.INCONCLUSIVE,
        raw=Verdict.INCONCLUSIVE,
        sentence=text,
        reaction="not judged",
        set_name=set_name,
    )


def _by_level(raw: Verdict, record: ExpectRecord | CheckRecord) -> Verdict:
    if record.soft is not None:
        return Verdict.INFORMATIONAL
    if raw in (Verdict.FAIL, Verdict.NON_STRICT):
        if record.level == "MAY" or record.limit == "informational":
            return Verdict.INFORMATIONAL
        if record.level == "SHOULD" or record.limit == "non_strict":
            return Verdict.NON_STRICT
    return raw


def judge_case(case_id: str, records: Sequence[Record], *, requirements: Sequence[str] = ()) -> CaseJudgement:
    """Judge a case from all of its records, in the order in which the run made them.

    ``requirements`` are those that the case declares; one that no record judges is inconclusive.
    """
    judged = [
        (record, judge_record(record))
        for record in records
        if isinstance(record, (ExpectRecord, CheckRecord, InformationalRecord))
    ]
    twins = [grade for record, grade in judged if getattr(record, "twin", False)]
    grades = [grade for record, grade in judged if not getattr(record, "twin", False)]
    obstacle = _obstacle(records, twins, grades)
    if obstacle is not None:
        verdict, reason, reaction = obstacle
        names = list(
            dict.fromkeys([*requirements, *(name for grade in grades for name in grade.requirements)])
        )
        return CaseJudgement(
            verdict=verdict,
            requirements=dict.fromkeys(names, verdict),
            reason=reason,
            signature=_signature(case_id, [("", "", verdict.value, reaction)]),
            reactions=dict.fromkeys(names, reaction),
            needs_confirmation=verdict is Verdict.INCONCLUSIVE and reaction == "sanity after",
        )
    return _from_grades(grades, case_id, requirements)


def _obstacle(
    records: Sequence[Record], twins: Sequence[Grade], grades: Sequence[Grade]
) -> tuple[Verdict, str, str] | None:
    """Return what keeps the grades from counting: verdict, reason and stable name; None if nothing does."""
    inconclusive = Verdict.INCONCLUSIVE
    seen_fail = next((g for g in grades if g.verdict is Verdict.FAIL and not g.missing), None)
    beside = f" (seen before: {seen_fail.sentence})" if seen_fail else ""
    for record in records:
        match record:
            case ErrorRecord():
                text = f"{record.what}: {record.text}" if record.text else record.what
                return inconclusive, text + beside, f"error {record.what}"
            case SanityRecord(phase="before", ok=False):
                return (
                    inconclusive,
                    f"the sanity exchange before the case failed: {record.reason}",
                    "sanity before",
                )
            case TwinRecord(ok=False):
                return inconclusive, f"the positive twin failed: {record.reason}", "twin"
            case UnsupportedRecord() if seen_fail is None:
                return Verdict.UNSUPPORTED, f"{record.kind}: {record.proof}", f"unsupported {record.kind}"
    broken = next((g for g in twins if g.verdict in (Verdict.FAIL, inconclusive)), None)
    if broken is not None:
        return inconclusive, f"the positive twin failed: {broken.sentence}", f"twin {broken.reaction}"
    for record in records:
        if isinstance(record, SanityRecord) and record.phase == "after" and not record.ok:
            if record.reproduced:
                return Verdict.FAIL, f"the target does not serve any more: {record.reason}", "target died"
            if seen_fail is None:
                text = f"the sanity exchange after the case failed, not reproduced alone: {record.reason}"
                return inconclusive, text, "sanity after"
    return None


def _from_grades(grades: Sequence[Grade], case_id: str, requirements: Sequence[str]) -> CaseJudgement:
    verdicts: dict[str, Verdict] = {}
    reactions: dict[str, str] = {}
    for grade in grades:
        for name in grade.requirements:
            verdict = worst([grade.verdict, *([verdicts[name]] if name in verdicts else [])])
            if verdicts.get(name) is not verdict:
                verdicts[name], reactions[name] = verdict, grade.reaction
    for name in requirements:
        if name not in verdicts:
            verdicts[name], reactions[name] = Verdict.INCONCLUSIVE, "not judged"
    verdict = worst(verdicts.values())
    deciding = [grade for grade in grades if grade.verdict is verdict]
    ordered = sorted(verdicts, key=lambda name: SEVERITY.index(verdicts[name]))
    facts = [
        (name, grade.set_name, grade.verdict.value, grade.reaction)
        for grade in (deciding or grades)
        for name in grade.requirements
    ]
    failing = [grade for grade in deciding if verdict is Verdict.FAIL]
    return CaseJudgement(
        verdict=verdict,
        requirements={name: verdicts[name] for name in ordered},
        reason="; ".join(dict.fromkeys(grade.sentence for grade in deciding))
        or _nothing(requirements, verdicts),
        signature=_signature(case_id, facts or [("", "", verdict.value, "not judged")]),
        reactions=reactions,
        needs_confirmation=bool(failing) and all(grade.missing and not grade.confirmed for grade in failing),
        weak=bool(deciding) and all(grade.weak for grade in deciding),
    )


def _reason(grades: Sequence[Grade]) -> str:
    sentences = list(dict.fromkeys(grade.sentence for grade in grades))
    more = f"; and {len(sentences) - MAX_SENTENCES} more" if len(sentences) > MAX_SENTENCES else ""
    return "; ".join(sentences[:MAX_SENTENCES]) + more


def _nothing(requirements: Sequence[str], verdicts: Mapping[str, Verdict]) -> str:
    missing = [name for name in requirements if verdicts[name] is Verdict.INCONCLUSIVE]
    return f"no record judges {', '.join(missing)}" if missing else "the case recorded nothing to judge"


def _signature(case_id: str, facts: Iterable[tuple[str, str, str, str]]) -> str:
    content = json.dumps([case_id, sorted(set(facts))], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
