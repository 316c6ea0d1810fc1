"""The kill matrix: cases against deviants, on the in-memory link."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.deviants.definition import Deviant, expected_kill
from conformance.harness.case import Case
from conformance.harness.inmemory import memory_target
from conformance.harness.probe import probe
from conformance.harness.runner import Player
from conformance.harness.target import Capabilities, Target
from conformance.peer.drafts import Draft
from conformance.peer.model import PERMISSIONS, Behaviour, ModelServer
from conformance.peer.model.rules import Rule, RuleTable
from conformance.requirements import by_id
from conformance.requirements.model import Level, Limit
from reports.judgement import CaseJudgement
from reports.verdict import Verdict

# Verdicts that say nothing about the target: a deviant may cause them in cases that only lean on its fault.
_UNJUDGED = (Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED)
# Requirement verdicts that a case can turn into a fail.
_CAN_FAIL = (Verdict.PASS,)


@dataclass(slots=True)
class Matrix:
    """What the deviants showed.

    ``kills``: deviant to the cases that give the verdict which it declares, or the worst one that the
    catalogue allows for a row of it; ``killed``: deviants with the declared verdict. ``false_kills``:
    changes outside of a deviant's declared requirements. ``blocked``: cases that could not be judged
    because of the fault. ``unreached``: pairs that were not played, since nothing in the case gets near
    the fault.
    """

    deviants: list[Deviant]
    cases: list[Case]
    kills: dict[str, list[str]] = field(default_factory=dict)
    false_kills: list[dict[str, str]] = field(default_factory=list)
    blocked: list[dict[str, str]] = field(default_factory=list)
    baseline_faults: list[str] = field(default_factory=list)
    fail_capable: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    complete: bool = True
    interrupted: bool = False
    played: int = 0
    unreached: int = 0

    @property
    def survivors(self) -> list[str]:
        """Deviants that no case killed with the verdict that they declare."""
        return [deviant.id for deviant in self.deviants if deviant.id not in self.killed]

    @property
    def unkilled_cases(self) -> list[str]:
        """Cases that can fail but kill no deviant."""
        killing = {case for cases in self.kills.values() for case in cases}
        return sorted(case for case in self.fail_capable if case not in killing)

    def sound(self, *, partial: bool = False) -> bool:
        """Tell whether the suite passed its own test; ``partial``: not all deviants were played."""
        unkilled = [] if partial else self.unkilled_cases
        return not (self.survivors or unkilled or self.false_kills or self.baseline_faults)

    def merge(self, part: Matrix) -> None:
        """Add what a part of the plan showed."""
        for name, cases in part.kills.items():
            self.kills.setdefault(name, []).extend(cases)
        self.false_kills += part.false_kills
        self.blocked += part.blocked
        self.baseline_faults += part.baseline_faults
        self.fail_capable |= part.fail_capable
        self.killed |= part.killed
        self.played += part.played
        self.unreached += part.unreached

    def as_json(self) -> dict[str, Any]:
        """Return the form of reports/schemas/deviants.schema.json."""
        return {
            "deviants": [
                {
                    "id": item.id,
                    "title": item.title,
                    "requirements": list(item.requirements),
                    "kill": item.kill,
                    "drafts": [draft.value for draft in item.drafts],
                    "killed_by": self.kills.get(item.id, []),
                }
                for item in self.deviants
            ],
            "cases": [
                {
                    "id": case.identifier,
                    "kills": [name for name, by in self.kills.items() if case.identifier in by],
                    "can_fail": case.identifier in self.fail_capable,
                }
                for case in self.cases
            ],
            "survivors": self.survivors,
            "false_kills": self.false_kills,
            "unkilled_cases": self.unkilled_cases,
            "blocked": self.blocked,
            "baseline_faults": self.baseline_faults,
            "complete": self.complete,
            "played": self.played,
            "unreached": self.unreached,
        }


class AskedRules(RuleTable):
    """A rules table that notes which of its rows the engine asked for."""

    def __init__(self, asked: set[str]) -> None:
        super().__init__(PERMISSIONS)
        self._asked = asked

    def __getitem__(self, name: str) -> Rule:
        self._asked.add(name)
        return super().__getitem__(name)


class AskedBehaviour(Behaviour):
    """A fault-free behaviour that notes which hooks, attributes and rows the engine asked for."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.asked: set[str] = set()
        super().__init__(drafts)
        self.rules = AskedRules(self.asked)

    def __getattribute__(self, name: str) -> Any:
        if name != "asked":
            self.asked.add(name)
        return super().__getattribute__(name)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the fault-free server showed in a case: its judgement, and what the engine asked for."""

    judgement: CaseJudgement
    asked: frozenset[str]


class Laboratory:
    """Plays cases against fault-free and faulty servers; remembers what the fault-free one showed."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.drafts = tuple(drafts)
        self._capabilities = probe(self._target("model", Behaviour(self.drafts)))
        self._baseline: dict[tuple[str, Draft], Baseline] = {}
        self._behaviour = AskedBehaviour(self.drafts)
        self._model = self._player(self._target("model", self._behaviour), self._capabilities)
        # What a server asks for when it starts concerns every case.
        self._always = frozenset(self._behaviour.asked)

    def _target(self, name: str, behaviour: Behaviour) -> Target:
        return memory_target(name, lambda: ModelServer(behaviour, self.drafts))

    @staticmethod
    def _player(target: Target, capabilities: Capabilities) -> Player:
        # What the fault-free server can do is demanded of the deviant too, else its fault would be an excuse.
        return Player(target.with_capabilities(capabilities), clock=time.process_time, second_runs=False)

    def deviant(self, deviant: Deviant) -> Player:
        """Return a player against a deviant."""
        target = self._target(deviant.id, deviant.behaviour(self.drafts))
        return self._player(target, self._capabilities)

    def baseline(self, case: Case, draft: Draft) -> Baseline:
        """Return what the fault-free server showed."""
        key = (case.identifier, draft)
        if key not in self._baseline:
            self._behaviour.asked.clear()
            self._model.sanity.spoil()
            judgement = self._model.play(case, draft).judgement
            self._baseline[key] = Baseline(judgement, self._always | self._behaviour.asked)
        return self._baseline[key]

    def changed(self, deviant: Deviant) -> frozenset[str]:
        """Return the hooks, attributes and rows that make the fault of a deviant.

        Everything is deterministic: in a case whose fault-free run asked for none of them, the deviant does
        exactly what the fault-free server does, so it need not be played.
        """
        faulty, fine = deviant.behaviour(self.drafts), Behaviour(self.drafts)
        pairs = zip(faulty.rules, fine.rules, strict=True)
        names = {row.name for row, before in pairs if row != before}
        before, now = vars(fine), vars(faulty)
        differing = {name for name in now if name not in before or _state(now[name]) != _state(before[name])}
        return frozenset(names | (differing - {"rules"}))


def _state(value: object) -> object:
    """Return an object as what can be compared: its attributes where it has some, itself elsewhere."""
    attributes = getattr(value, "__dict__", None)
    if attributes is None or callable(value):
        return value
    return type(value), {name: _state(item) for name, item in attributes.items()}


def draft_of(case: Case, deviant: Deviant | None, drafts: Sequence[Draft]) -> Draft | None:
    """Return the newest draft that a case and a deviant share, None where there is none."""
    allowed = deviant.drafts if deviant is not None else drafts
    return next((draft for draft in drafts if draft in case.drafts and draft in allowed), None)


# The deviants of applications, by the area of the cases that play these applications.
_GAMES = {"scenario-baton": "baton."}
_OTHER_GAMES = "app."


def _another_game(case: Case, deviant: Deviant) -> bool:
    """Tell whether a scenario of an application meets a fault that is none of that application.

    A scenario uses all of the protocol at once, so that a fault below it shows anywhere.
    """
    if not case.area.startswith("scenario-"):
        return deviant.id.startswith(_OTHER_GAMES)
    return not deviant.id.startswith(_GAMES.get(case.area, _OTHER_GAMES))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played: all pairs, or each deviant's own cases and a seeded share (0 to 1) of the others.

    ``judge_cases``: also find out which of all the cases can fail.
    """

    deviants: tuple[str, ...]
    cases: tuple[str, ...]
    drafts: tuple[Draft, ...]
    sample: float = 1.0
    seed: int = 0
    judge_cases: bool = True


class Bench:
    """Plays a plan in parts, each part in whatever order and process: every pair stands for itself."""

    def __init__(self, plan: Plan, deviants: Sequence[Deviant], cases: Sequence[Case]) -> None:
        self.plan = plan
        self._deviants = {item.id: item for item in deviants}
        self._cases = cases
        self._laboratory = Laboratory(plan.drafts)
        self._declared = {name for case in cases for name in case.requirements}

    def baselines(self, part: int, parts: int) -> Matrix:
        """Play the part-th of so many parts of the cases against the fault-free server."""
        matrix = Matrix([], [])
        for case in self._cases[part::parts]:
            draft = draft_of(case, None, self.plan.drafts)
            if draft is not None:
                _note_baseline(matrix, case, self._laboratory.baseline(case, draft).judgement)
        return matrix

    def deviant(self, identifier: str) -> Matrix:
        """Play the cases against one deviant."""
        plan, laboratory, deviant = self.plan, self._laboratory, self._deviants[identifier]
        matrix = Matrix([], [])
        generator = random.Random(f"{plan.seed}:{identifier}")
        player, changed = laboratory.deviant(deviant), laboratory.changed(deviant)
        # Rows that a case judges beside those that it declares.
        undeclared = set(deviant.requirements) - self._declared
        for case in self._cases:
            draft = draft_of(case, deviant, plan.drafts)
            if draft is None:
                continue
            other = _another_game(case, deviant)
            if other and deviant.id.startswith(_OTHER_GAMES):
                continue
            own = not set(deviant.requirements).isdisjoint(case.requirements)
            if not own and (plan.judge_cases or undeclared):
                judged_rows = laboratory.baseline(case, draft).judgement.requirements
                own = not set(deviant.requirements).isdisjoint(judged_rows)
            sampled = plan.sample >= 1.0 or generator.random() < plan.sample
            if not own and (other or not sampled):
                continue
            before = laboratory.baseline(case, draft)
            if changed.isdisjoint(before.asked):
                matrix.unreached += 1
                continue
            judged = player.play(case, draft).judgement
            matrix.played += 1
            _compare(matrix, deviant, case, before.judgement, judged)
        return matrix


def compute(
    deviants: Sequence[Deviant],
    cases: Sequence[Case],
    drafts: Sequence[Draft],
    *,
    sample: float = 1.0,
    seed: int = 0,
    judge_cases: bool = True,
) -> Matrix:
    """Play a whole plan in this process, and return what it showed."""
    names = tuple(item.id for item in deviants), tuple(case.identifier for case in cases)
    plan = Plan(*names, tuple(drafts), sample, seed, judge_cases)
    bench = Bench(plan, deviants, cases)
    matrix = Matrix(list(deviants), list(cases), complete=sample >= 1.0)
    if judge_cases:
        matrix.merge(bench.baselines(0, 1))
    for deviant in deviants:
        matrix.merge(bench.deviant(deviant.id))
    return matrix


def _note_baseline(matrix: Matrix, case: Case, judged: CaseJudgement) -> None:
    if judged.verdict in (Verdict.FAIL, Verdict.NON_STRICT, *_UNJUDGED):
        matrix.baseline_faults.append(f"{case.identifier}: {judged.verdict.value}: {judged.reason}")
    if any(verdict in _CAN_FAIL and _binding(name) for name, verdict in judged.requirements.items()):
        matrix.fail_capable.add(case.identifier)


def _binding(name: str) -> bool:
    """Tell whether a case may fail, or be non-strict, for a requirement: not for a MAY or an open reading."""
    row = by_id(name)
    return row.level is not Level.MAY and row.limit is not Limit.INFORMATIONAL


def _compare(matrix: Matrix, deviant: Deviant, case: Case, before: CaseJudgement, now: CaseJudgement) -> None:
    if now.verdict in _UNJUDGED:
        matrix.blocked.append({"deviant": deviant.id, "case": case.identifier, "reason": now.reason[:200]})
        return
    for name in now.requirements:
        change = _change(name, before, now)
        if change is None:
            continue
        if name not in deviant.requirements:
            matrix.false_kills.append(
                {
                    "deviant": deviant.id,
                    "case": case.identifier,
                    "requirement": name,
                    "verdict": now.requirements[name].value,
                    "change": change,
                }
            )
            continue
        if change == deviant.kill:
            matrix.killed.add(deviant.id)
        elif change != expected_kill((name,)):
            continue
        if case.identifier not in matrix.kills.setdefault(deviant.id, []):
            matrix.kills[deviant.id].append(case.identifier)


def _change(name: str, before: CaseJudgement, now: CaseJudgement) -> str | None:
    verdict = now.requirements[name]
    if verdict in (Verdict.FAIL, Verdict.NON_STRICT):
        return None if before.requirements.get(name) == verdict else verdict.value
    return "changed" if now.reactions.get(name) != before.reactions.get(name) else None
