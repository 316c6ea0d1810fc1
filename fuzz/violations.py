"""What a fuzz loop can find, and how it is told apart."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fuzz.operations import FRAMEWORK, Operation

Oracle: TypeAlias = Literal[
    "model", "crash", "hang", "innocent", "memory", "latency", "differential", "codec", "baton"
]


@dataclass(frozen=True, slots=True)
class Violation:
    """One observation that the texts do not allow.

    ``rule`` is the row of the catalogue, or a name of the oracle's own; ``reaction`` what the target did,
    without anything that differs from run to run; ``text`` a sentence for people.
    """

    oracle: Oracle
    rule: str
    reaction: str
    text: str

    @property
    def key(self) -> str:
        """What two observations of the same kind have in common."""
        return f"{self.oracle} {self.rule} {self.reaction}"


class Found(Exception):
    """Ends a session at the operation that brought a violation to light."""

    def __init__(self, violation: Violation, step: int) -> None:
        super().__init__(violation.text)
        self.violation = violation
        self.step = step


class Unjudged(Exception):
    """The session cannot be judged: the peer's own engine gave up, or the target refused the session."""


class TargetGone(Exception):
    """No connection to the target, or no session on it; the text says why."""


def kinds(script: Iterable[Operation]) -> tuple[str, ...]:
    """Return the names of the operations of a script, each once, in order."""
    return tuple(sorted({item.name for item in script if not isinstance(item, FRAMEWORK)}))


def signature(violation: Violation, script: Iterable[Operation]) -> str:
    """Return the name under which a finding is kept: rule, and a hash of its key and kinds of operation."""
    content = f"{violation.key} {' '.join(kinds(script))}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:10]
    rule = re.sub(r"[^A-Za-z0-9.-]+", "-", violation.rule).strip("-") or "finding"
    return f"{violation.oracle}-{rule}-{digest}"
