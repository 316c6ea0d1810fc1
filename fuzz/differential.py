"""Differential runs: the same script on two targets, and where their classes of reaction differ.

The classes are coarse: does the connection live, does the session, what became of each finished stream and of
the last request. Where the texts leave a choice, a difference is a finding all the same: it says that
applications see two different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from conformance.harness.target import Target
from conformance.peer.drafts import Draft
from fuzz import operations as op
from fuzz.executor import Executor
from fuzz.violations import TargetGone, Unjudged, Violation

# From the largest to the smallest: where the session ended, the echoes say nothing new.
_CONCERNS: Final = ("connection", "session", "request", "echo_bidi", "echo_uni", "violation")
# What was seen, by what it concerns.
Outcome: TypeAlias = Mapping[str, str]


def outcome(executor: Executor, script: op.Script) -> Outcome | None:
    """Play a script; return the classes of reactions, None where it cannot be judged."""
    try:
        found = executor.run(script)
        seen = dict(executor.classes())
    except (TargetGone, Unjudged):
        return None
    finally:
        executor.drop()
    if found is not None:
        seen["violation"] = found.violation.rule
    return seen


class Differential:
    """Compares a second target with the first one."""

    def __init__(self, first: Target, second: Target, draft: Draft) -> None:
        self._first = Executor(first, draft)
        self._second = Executor(second, draft)
        self._name = second.name
        self._echoes = [
            name
            for name in ("echo_bidi", "echo_uni")
            if getattr(first.capabilities, name) and getattr(second.capabilities, name)
        ]

    def check(self, script: op.Script) -> Violation | None:
        """Play a script on both, twice; return a difference that both times showed."""
        differences = [self._difference(script) for _ in range(2)]
        if differences[0] is None or differences[0] != differences[1]:
            return None
        concern, first, second = differences[0]
        text = f"{concern}: {first} here, {second} at {self._name}"
        return Violation("differential", f"differs-{concern}", f"{first} / {second}", text)

    def _difference(self, script: op.Script) -> tuple[str, str, str] | None:
        first, second = outcome(self._first, script), outcome(self._second, script)
        if first is None or second is None:
            return None
        for concern in _CONCERNS:
            if concern.startswith("echo_") and concern not in self._echoes:
                continue
            ours, theirs = first.get(concern, "none"), second.get(concern, "none")
            if ours != theirs:
                return concern, ours, theirs
        return None

    def close(self) -> None:
        """Close the connections."""
        self._first.drop()
        self._second.drop()
