"""The runner: plays a case against a target and hands over records and wire log.

Order of a negative case: sanity exchange, positive twin, the case, sanity exchange. A fail that rests
on a missing reaction or on a target that stopped serving is a fail only if a second run, with the
target for itself, shows the same. Before a second run the target has to serve again; where it does not
come back, neither this case nor a later one can be judged (:mod:`conformance.harness.presence`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from conformance.harness.case import Case
from conformance.harness.gate import Gate
from conformance.harness.presence import Presence
from conformance.harness.run import Run, TwinFailed
from conformance.harness.sanity import Sanity
from conformance.harness.target import Silence, Target, Unsupported
from conformance.peer.bounds import TooManyConnections
from conformance.peer.drafts import Draft
from conformance.peer.events import WireEvent
from conformance.peer.keylog import KeyLog
from conformance.peer.options import ConnectFailed, SessionRefused
from reports.judgement import (
    CaseJudgement,
    ErrorRecord,
    ExpectRecord,
    NoteRecord,
    Record,
    SanityRecord,
    TwinRecord,
    UnsupportedRecord,
    judge_case,
)
from reports.verdict import Verdict

# Wire logs of at most this many events per connection go into the evidence.
MAX_LOG_EVENTS = 2000


@dataclass(slots=True)
class Connection:
    """The wire log of one connection of a case."""

    label: str
    events: list[WireEvent]
    dropped: int
    keylog: str = ""


@dataclass(slots=True)
class Outcome:
    """What playing a case left behind."""

    case: Case
    draft: Draft
    records: list[Record]
    judgement: CaseJudgement
    connections: list[Connection]
    duration: float


class SuiteFault(Exception):
    """A case breaks a rule of the suite; never the target's fault."""


class Player:
    """Plays cases against one target."""

    def __init__(
        self,
        target: Target,
        *,
        gate: Gate | None = None,
        presence: Presence | None = None,
        clock: Callable[[], float] = time.monotonic,
        second_runs: bool = True,
    ) -> None:
        self.target = target
        self.gate = gate or Gate(None)
        self.presence = presence
        self.sanity = Sanity(target)
        self._clock = clock
        self._second_runs = second_runs

    def play(self, case: Case, draft: Draft) -> Outcome:
        """Play the case and judge it; never raises for anything that the target does."""
        start = self._clock()
        gone = self.presence.gone(draft) if self.presence else None
        outcome = self._play_all(case, draft) if gone is None else _unplayed(case, draft, gone)
        outcome.duration = self._clock() - start
        return outcome

    def _play_all(self, case: Case, draft: Draft) -> Outcome:
        with ExitStack() as stack:
            if self.presence is not None:
                stack.enter_context(self.presence.flight(case.identifier))
            with self.gate.hold(alone=case.disruptive):
                outcome = self._play_once(case, draft)
                if self.presence is not None and not _reached(outcome):
                    self.presence.clear()
            if not (self._second_runs and self._needs_second_run(outcome)):
                return outcome
            with self.gate.hold(alone=True):
                gone = self.presence.wait(draft, self.sanity.exchange) if self.presence else None
                if gone is None:
                    return self._merge(outcome, self._play_once(case, draft))
                error = ErrorRecord(what="target gone", text=gone)
                return replace_outcome(outcome, [error, *outcome.records], outcome.connections)

    @staticmethod
    def _needs_second_run(outcome: Outcome) -> bool:
        return outcome.judgement.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)

    @staticmethod
    def _merge(first: Outcome, second: Outcome) -> Outcome:
        same = second.judgement.verdict == first.judgement.verdict
        records = [_confirmed(record) if same else record for record in second.records]
        if same:
            text = "the second run, alone with the target, showed the same"
        else:
            text = (
                f"the first run was {first.judgement.verdict.value} ({first.judgement.reason}); "
                "this is the second run, alone with the target"
            )
        records.append(NoteRecord(text=text))
        for connection in first.connections:
            connection.label = f"first run, {connection.label}"
        return replace_outcome(second, records, [*second.connections, *first.connections])

    def _play_once(self, case: Case, draft: Draft) -> Outcome:
        records: list[Record] = []
        connections: list[Connection] = []
        self._record(case, draft, records, connections)
        return Outcome(
            case,
            draft,
            records,
            judge_case(case.identifier, records, requirements=case.requirements),
            connections,
            0.0,
        )

    def _record(self, case: Case, draft: Draft, records: list[Record], connections: list[Connection]) -> None:
        problem = self.sanity.before(draft)
        records.append(SanityRecord(phase="before", ok=problem is None, reason=problem or ""))
        if problem is not None:
            return
        if case.negative and not self._twin(case, draft, records, connections):
            return
        run = Run(case, self.target, draft, twin=False)
        try:
            self._execute(run, records)
        finally:
            records.extend(run.attributed())
            self._collect(run, "case", connections)
        if case.negative and not run.varied and not _ended_early(records):
            records.append(ErrorRecord(what="suite", text=f"case {case.identifier} varies nothing"))
        if case.negative or case.disruptive:
            problem = self.sanity.after(draft)
            records.append(SanityRecord(phase="after", ok=problem is None, reason=problem or ""))

    def _twin(self, case: Case, draft: Draft, records: list[Record], connections: list[Connection]) -> bool:
        run = Run(case, self.target, draft, twin=True)
        problem: str | None = None
        try:
            case.function(run)
        except Unsupported as reason:
            records.append(UnsupportedRecord(kind=reason.kind, proof=reason.proof))
            return False
        except TooManyConnections as error:
            records.append(_bounded(error))
            return False
        except TwinFailed as error:
            problem = str(error)
        except (ConnectFailed, SessionRefused, Silence) as error:
            problem = f"{type(error).__name__}: {error}"
        finally:
            self._collect(run, "positive twin", connections)
        own = own_close(run)
        if problem is None and own:
            problem = own
        records.append(TwinRecord(ok=problem is None, reason=problem or ""))
        return problem is None

    def _execute(self, run: Run, records: list[Record]) -> None:
        try:
            run.case.function(run)
        except Unsupported as reason:
            records.append(UnsupportedRecord(kind=reason.kind, proof=reason.proof))
            return
        except TooManyConnections as error:
            records.append(_bounded(error))
            return
        except (ConnectFailed, SessionRefused) as error:
            records.append(ErrorRecord(what="setup", text=f"{type(error).__name__}: {error}"))
        except Silence as error:
            records.append(ErrorRecord(what="silence", text=str(error)))
        except (TwinFailed, SuiteFault) as error:
            records.append(ErrorRecord(what="suite", text=str(error)))
        own = own_close(run)
        if own:
            records.append(ErrorRecord(what="own side closed", text=own))

    @staticmethod
    def _collect(run: Run, label: str, connections: list[Connection]) -> None:
        run.finish()
        for number, peer in enumerate(run.peers):
            name = label if len(run.peers) == 1 else f"{label}, connection {number + 1}"
            dropped = peer.events.dropped + max(0, len(peer.events) - MAX_LOG_EVENTS)
            keylog = peer.options.quic.get("keylog")
            secrets = keylog.text() if isinstance(keylog, KeyLog) else ""
            connections.append(Connection(name, peer.events[:MAX_LOG_EVENTS], dropped, secrets))


def _bounded(error: TooManyConnections) -> UnsupportedRecord:
    return UnsupportedRecord(kind="cooperation", proof=f"--max-connections: {error}")


def _unplayed(case: Case, draft: Draft, gone: str) -> Outcome:
    """Return the outcome of a case that came after the end of the target."""
    records: list[Record] = [ErrorRecord(what="target gone", text=gone)]
    judgement = judge_case(case.identifier, records, requirements=case.requirements)
    return Outcome(case, draft, records, judgement, [], 0.0)


def _reached(outcome: Outcome) -> bool:
    """Tell whether anything of the target arrived in the run: else the case cannot have harmed it."""
    return any(not event.sent for connection in outcome.connections for event in connection.events)


def _confirmed(record: Record) -> Record:
    """Mark in a record of the second run that it was seen before."""
    if isinstance(record, ExpectRecord):
        return replace(record, confirmed=True)
    if isinstance(record, SanityRecord) and not record.ok:
        return replace(record, reproduced=True)
    return record


def own_close(run: Run) -> str | None:
    """Tell whether the peer's own QUIC engine closed a connection of the run, and why."""
    for peer in run.peers:
        closed = peer.quic.closed
        if closed is not None and closed.by == "local":
            return (
                f"the peer's own QUIC engine closed the connection: {closed.reason} (0x{closed.error_code:x})"
            )
    return None


def _ended_early(records: list[Record]) -> bool:
    return any(isinstance(record, UnsupportedRecord | ErrorRecord) for record in records)


def replace_outcome(outcome: Outcome, records: list[Record], connections: list[Connection]) -> Outcome:
    """Return the outcome with other records, judged again."""
    judgement = judge_case(outcome.case.identifier, records, requirements=outcome.case.requirements)
    return Outcome(outcome.case, outcome.draft, records, judgement, connections, outcome.duration)


def log_json(connections: list[Connection]) -> list[dict[str, Any]]:
    """Return the wire logs as JSON: one object per connection with its label and events."""
    return [
        {"label": item.label, "events": [event.as_json() for event in item.events], "dropped": item.dropped}
        for item in connections
    ]
