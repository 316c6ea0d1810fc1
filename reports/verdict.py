"""The six verdicts, their order, and the exit code of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Verdict(StrEnum):
    """What a case says about a requirement; the value is the spelling in JSON."""

    PASS = "pass"
    NON_STRICT = "non_strict"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    INCONCLUSIVE = "inconclusive"
    INFORMATIONAL = "informational"

    @property
    def label(self) -> str:
        """The verdict as people read it."""
        return "non-strict" if self is Verdict.NON_STRICT else self.value


# From the worst on. A fail stands beside inconclusive requirements of the same case: what was seen
# to break stays broken. Unsupported comes before informational: it says that something was not tested.
SEVERITY: tuple[Verdict, ...] = (
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NON_STRICT,
    Verdict.UNSUPPORTED,
    Verdict.INFORMATIONAL,
    Verdict.PASS,
)

EXIT_OK = 0
EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_INTERRUPTED = 130


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of the verdicts; of none, ``INCONCLUSIVE``: nothing was judged."""
    seen = set(verdicts)
    return next((verdict for verdict in SEVERITY if verdict in seen), Verdict.INCONCLUSIVE)


def summarise(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Count the verdicts; every one of the six is a key, in the order of the enumeration."""
    counts = {verdict.value: 0 for verdict in Verdict}
    for verdict in verdicts:
        counts[verdict.value] += 1
    return counts


def exit_code(summary: Mapping[str, int], *, strict: bool = False) -> int:
    """Return the exit code of a run from the counts of its verdicts.

    0: at least one pass, no fail, nothing inconclusive. 1: at least one fail, or with ``strict`` a
    non-strict one. 3: something inconclusive, or no pass at all.
    """
    if summary.get(Verdict.FAIL, 0) or (strict and summary.get(Verdict.NON_STRICT, 0)):
        return EXIT_FAIL
    if summary.get(Verdict.INCONCLUSIVE, 0) or not summary.get(Verdict.PASS, 0):
        return EXIT_INCONCLUSIVE
    return EXIT_OK
