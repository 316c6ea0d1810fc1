"""What the machines share: one session of the executor for each example, and how a finding ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

from hypothesis.stateful import RuleBasedStateMachine

from fuzz import operations as op
from fuzz.executor import Executor
from fuzz.violations import Found, TargetGone, Unjudged, Violation


class Stage(Protocol):
    """What a campaign gives to its machines."""

    executor: Executor

    @property
    def closed(self) -> bool:
        """Tell whether the time is over: nothing is played any more."""

    def found(self, violation: Violation, script: op.Script) -> bool:
        """Take a violation; True where it is a new one, which Hypothesis then shrinks."""

    def gone(self, error: TargetGone) -> None:
        """Take the news that the target does not answer any more."""

    def unjudged(self, error: Unjudged) -> None:
        """Take the news that a session could not be judged."""

    def played(self) -> None:
        """Look at the target between two sessions."""


class Hit(Exception):
    """A new violation, as Hypothesis sees it."""


def hit_class(key: str) -> type[Hit]:
    """Return the class of exception of one kind of violation: Hypothesis tells failures apart by it."""
    return _CLASSES.setdefault(key, type("Hit", (Hit,), {"__doc__": key}))


_CLASSES: dict[str, type[Hit]] = {}


class Machine(RuleBasedStateMachine):
    """One session. Rules call ``play``; streams get their names here."""

    name: ClassVar[str] = ""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.names = 0
        # What is played last: most violations end the session, so there is one of them at most.
        self.finale: Sequence[op.Operation] = ()
        self.ended = stage.closed

    @property
    def live(self) -> list[int]:
        """Names of the streams that can still be sent on."""
        if self.ended:
            return []
        return [name for name, stream in self.stage.executor.model.streams.items() if not stream.ended]

    def start(self, limits: tuple[int, int, int] | None, path: str | None = None) -> None:
        """Begin the session."""
        self._guarded(lambda: self.stage.executor.begin(limits, path))

    def play(self, *operations: op.Operation) -> None:
        """Play operations; raises Hit for a new violation."""
        for operation in operations:
            self._guarded(lambda operation=operation: self.stage.executor.do(operation))  # type: ignore[misc]

    def new_name(self) -> int:
        """Return the name of the next stream."""
        self.names += 1
        return self.names

    def play_raw(self, script: op.Script) -> None:
        """Play a script on a connection of its own; raises Hit for a new violation."""

        def run() -> None:
            found = self.stage.executor.run_raw(script)
            if found is not None:
                raise found

        self._guarded(run)

    def named(self, item: op.Operation) -> op.Operation:
        """Give a new stream its name."""
        return replace(item, stream=self.new_name()) if isinstance(item, op.OpenStream) else item

    def pick(self, index: int) -> int | None:
        """Return one of the live streams."""
        live = self.live
        return live[index % len(live)] if live else None

    def teardown(self) -> None:
        """End the session; what only shows at its end is found here."""
        self.play(*(self.named(item) for item in self.finale))
        if not self.ended:
            self._guarded(self.stage.executor.end)
        if not self.ended:
            self._guarded(self.stage.played)

    def _guarded(self, action: Callable[[], Any]) -> None:
        if self.ended or self.stage.closed:
            self.ended = True
            return
        try:
            action()
        except Found as found:
            self._finish()
            script = tuple(self.stage.executor.script)
            if self.stage.found(found.violation, script):
                raise hit_class(found.violation.key)(found.violation.text) from None
        except TargetGone as error:
            self._finish()
            self.stage.gone(error)
        except Unjudged as error:
            self._finish()
            self.stage.unjudged(error)

    def _finish(self) -> None:
        self.ended = True
        self.stage.executor.drop()
