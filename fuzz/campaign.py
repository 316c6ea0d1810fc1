"""A campaign: machines in turn on one target until the time is over, findings shrunk, confirmed and kept."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import HypothesisException
from hypothesis.stateful import run_state_machine_as_test

from conformance.harness.target import Target
from conformance.peer.drafts import Draft
from fuzz import operations as op
from fuzz.differential import Differential
from fuzz.executor import Executor
from fuzz.findings import Finding, Known
from fuzz.machines import MACHINES, ROUNDS, Machine
from fuzz.machines.base import Hit
from fuzz.oracles import Innocent, Memory, wait_until_back
from fuzz.shrink import minimise
from fuzz.violations import TargetGone, Unjudged, Violation

# Hypothesis repeats parts of earlier examples once it has ten of them; sessions of their own find more.
EXAMPLES: Final = 10
STEPS: Final = 10
# Seconds for the shrinking of one finding: by Hypothesis, then on the script itself.
SHRINK_BY_CHOICES: Final = 3.0
SHRINK_SCRIPT: Final = 10.0
# Seconds that a target which is gone gets to come back.
RETURN: Final = 10.0
# The innocent session is looked at after this many sessions, or sooner after this many seconds.
INNOCENT_EVERY: Final = 8
MAX_FINDINGS: Final = 100


@dataclass
class Statistics:
    """What a campaign has done so far."""

    operations: int = 0
    sessions: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    unconfirmed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    gone: str | None = None
    interrupted: bool = False

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds if self.seconds else 0.0


class Campaign:
    """Explores one target; the ``Stage`` of its machines.

    ``listener`` is called now and then, and at each finding.
    """

    def __init__(
        self,
        target: Target,
        draft: Draft,
        *,
        seed: int,
        machines: Sequence[str] = ROUNDS,
        max_time: float = 300.0,
        out: Path | None = None,
        pid: int | None = None,
        resume: bool = False,
        target_json: dict[str, Any] | None = None,
        against: Target | None = None,
        listener: Callable[[Campaign], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        max_findings: int = MAX_FINDINGS,
    ) -> None:
        self.target = target
        self.draft = draft
        self.seed = seed
        self.statistics = Statistics()
        self.findings: list[Finding] = []
        self.executor = Executor(target, draft)
        self.current = ""
        self.max_time = max_time
        self.listener = listener
        playable = "baton" in target.endpoints
        self._machines = [name for name in machines if name != "baton" or playable]
        self._out = out
        self._resume = resume
        self._target_json = target_json or {}
        self._clock = clock
        self._known = Known()
        self._innocent = Innocent(target, draft)
        self._differential = None if against is None else Differential(target, against, draft)
        self._memory = Memory(pid) if pid is not None else None
        self._started = clock()
        self._shrinking_until: float | None = None
        self._best: tuple[Violation, op.Script] | None = None
        self._last: op.Script = ()
        self._max_findings = max_findings
        self._stopped = False

    # --- the loop ---

    def run(self) -> list[Finding]:
        """Explore until the time is over; an interrupt ends it early and loses nothing."""
        if self._resume and self._out is not None:
            self._known.load(self._out)
        seeds = random.Random(self.seed)
        self._started = self._clock()
        try:
            while not self._over():
                for name in self._machines:
                    self._round(name, seeds.getrandbits(64))
        except KeyboardInterrupt:
            self.statistics.interrupted = True
        finally:
            self._tick()
            self.executor.drop()
            self._innocent.close()
            if self._differential is not None:
                self._differential.close()
        return self.findings

    def stop(self) -> None:
        """End the campaign after what is played just now."""
        self._stopped = True

    def _round(self, name: str, seed: int) -> None:
        """Let one machine play its examples; keep what it finds."""
        if self._over():
            return
        self.current = name
        machine = MACHINES[name]
        self._best = self._shrinking_until = None

        def factory() -> Machine:
            return machine(self)

        seeded: Any = hypothesis.seed(seed)(factory)
        try:
            run_state_machine_as_test(seeded, settings=self._settings())
        except (Hit, HypothesisException, BaseExceptionGroup):
            # A live target need not fail in the same way twice: what was seen is kept anyway.
            if self._best is None:
                raise
        self._shrinking_until = None
        self._keep_best(seed)

    def _keep_best(self, seed: int) -> None:
        if self._best is not None:
            self._keep(*self._best, seed)

    def _settings(self) -> hypothesis.settings:
        database = None
        if self._resume and self._out is not None:
            database = DirectoryBasedExampleDatabase(self._out / "examples")
        phases = [Phase.generate, Phase.shrink] + ([Phase.reuse] if database is not None else [])
        return hypothesis.settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            database=database,
            deadline=None,
            phases=phases,
            report_multiple_bugs=False,
            print_blob=False,
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )

    # --- the stage of the machines ---

    @property
    def closed(self) -> bool:
        """Tell whether nothing is to be played any more, at least in this round."""
        if self._shrinking_until is not None and self._clock() > self._shrinking_until:
            return True
        return self._over()

    def _over(self) -> bool:
        late = self._clock() - self._started >= self.max_time
        return self._stopped or late or len(self.findings) >= self._max_findings

    def found(self, violation: Violation, script: op.Script) -> bool:
        """Take a violation of a machine; the shortest script of a new one is kept."""
        if (violation, script) in self._known:
            return False
        if self._best is None:
            self._shrinking_until = self._clock() + SHRINK_BY_CHOICES
            self._best = violation, script
        elif violation.key != self._best[0].key:
            return False
        elif op.counted(script) <= op.counted(self._best[1]):
            self._best = violation, script
        return True

    def unjudged(self, error: Unjudged) -> None:
        """Count a session that could not be judged."""
        self.statistics.unjudged[str(error)] += 1

    def played(self) -> None:
        """Look at everything beside the session that was just played; raises Found through ``found``."""
        self._last = tuple(self.executor.script)
        self._tick()
        if self.statistics.sessions % INNOCENT_EVERY:
            return
        if self._differential is not None:
            self._compare(self._differential)
        violation = self._innocent.check() or self._innocent.slow()
        if violation is None and self._memory is not None:
            violation = self._memory.check()
        if violation is not None and (violation, self._last) not in self._known:
            self._keep(violation, self._last, None)

    def _compare(self, differential: Differential) -> None:
        """Play the last script on both targets; a difference is shrunk to what makes it."""
        violation = differential.check(self._last)
        if violation is None or (violation, self._last) in self._known:
            return
        until = self._clock() + SHRINK_SCRIPT

        def same(candidate: op.Script) -> bool:
            other = differential.check(candidate)
            return other is not None and other.key == violation.key

        script = minimise(self._last, same, stop=lambda: self._clock() > until)
        self._known.add(violation, script)
        self._record(self._finding(violation, script, None, confirmed=True))

    def gone(self, error: TargetGone) -> None:
        """The target does not answer: wait for it; whether it crashed is judged by what was played last."""
        suspects = self._last
        back = wait_until_back(self.target, self.draft, RETURN)
        violation = Violation("crash", "target-gone", "gone", f"the target was gone: {error}")
        if back and not self._kills(suspects):
            self.statistics.unconfirmed.append(violation.text)
            return
        if not back:
            self._stopped = True
            self.statistics.gone = str(error)
        self._record(self._finding(violation, suspects, self.seed, confirmed=back))

    def _kills(self, script: op.Script) -> bool:
        """Play a script and tell whether the target is gone afterwards."""
        try:
            self.executor.run(script)
            self.executor.drop()
            self.target.connect(self.draft).close()
        except Exception:
            return True
        return False

    def _tick(self) -> None:
        self.statistics.operations = self.executor.operations
        self.statistics.sessions = self.executor.sessions
        self.statistics.seconds = self._clock() - self._started
        self.listener(self)

    # --- findings ---

    def _keep(self, violation: Violation, script: op.Script, seed: int | None) -> None:
        """Shrink, confirm and save a violation."""
        until = self._clock() + SHRINK_SCRIPT
        quick = Executor(self.target, self.draft)

        def same(candidate: op.Script) -> bool:
            return self._shows(quick, candidate, violation)

        confirmed: bool | None = False
        try:
            if violation.oracle in ("model", "hang", "baton") or op.is_raw(script):
                script = minimise(script, same, stop=lambda: self._clock() > until)
                self._innocent.close()  # it may have starved meanwhile
                confirmed = self._confirmed(violation, script)
            elif violation.oracle == "innocent":
                confirmed = all(self._hurts(quick, script) for _ in range(2)) or None
        finally:
            quick.drop()
        if confirmed is None:
            self.statistics.unconfirmed.append(violation.text)
            return
        self._known.add(violation, script)
        self._record(self._finding(violation, script, seed, confirmed=confirmed))

    def _hurts(self, executor: Executor, script: op.Script) -> bool:
        """Play a script beside an innocent session; tell whether that one suffers."""
        self._innocent.close()
        if self._innocent.check() is not None:
            return False  # it was hurt before
        try:
            executor.run(script)
        except (TargetGone, Unjudged):
            return False
        return self._innocent.check() is not None

    def _confirmed(self, violation: Violation, script: op.Script) -> bool | None:
        """Play a script twice with all patience; None where the violation does not come again."""
        patient = Executor(self.target, self.draft, patient=True)
        try:
            return True if all(self._shows(patient, script, violation) for _ in range(2)) else None
        finally:
            patient.drop()

    @staticmethod
    def _shows(executor: Executor, script: op.Script, violation: Violation) -> bool:
        try:
            found = executor.run(script)
        except (TargetGone, Unjudged):
            return False
        finally:
            executor.drop()
        return found is not None and found.violation.key == violation.key

    def _finding(
        self, violation: Violation, script: op.Script, seed: int | None, *, confirmed: bool
    ) -> Finding:
        return Finding(violation, script, self.draft, seed, self.current, confirmed, self._target_json)

    def _record(self, finding: Finding) -> None:
        self.findings.append(finding)
        if self._out is not None:
            finding.save(self._out, self._wire_log(finding.script))
        self.listener(self)

    def _wire_log(self, script: op.Script) -> list[dict[str, Any]]:
        """Play the finding once more with every frame on record."""
        witness = Executor(self.target, self.draft, frame_events=True)
        peer = None
        try:
            witness.run(script)
            peer = witness.peer
        except (TargetGone, Unjudged):
            peer = witness.peer
        finally:
            events = [] if peer is None else [dict(event.as_json()) for event in peer.events]
            witness.drop()
        return events
