"""Known failures: a TOML file that says which verdicts a run may have, and until when.

::

    [[known]]
    case = "streams-uni.session-id-not-client-bidi.1"
    draft = "16"            # optional: every draft
    signature = "8877aa8a654ec3d8"
    reason = "closes the stream only, reported upstream"
    expires = 2027-01-31
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.files import read_toml
from reports.model import CaseResult, Results
from reports.verdict import EXIT_FAIL, Verdict, exit_code, summarise

_MEMBERS = {"case", "draft", "signature", "reason", "expires"}
_REQUIRED = {"case", "signature", "reason", "expires"}


class BaselineError(ValueError):
    """The baseline file cannot be used; the text is one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One known failure; ``draft`` None means every draft."""

    case: str
    signature: str
    reason: str
    expires: datetime.date
    draft: str | None = None

    def concerns(self, case: CaseResult) -> bool:
        """Tell whether the entry speaks of this case."""
        return self.case == case["id"] and self.draft in (None, case["draft"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineOutcome:
    """A run seen through a baseline: the known failures by case, and what fails the run."""

    known: Mapping[tuple[str, str], str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def load_baseline(path: Path) -> list[Known]:
    """Read a baseline file; raises BaselineError."""
    data = read_toml(path, BaselineError)
    listed = data.get("known", [])
    if set(data) - {"known"} or not isinstance(listed, list):
        raise BaselineError(f"{path}: expected [[known]] entries only")
    return [_known(path, number, entry) for number, entry in enumerate(listed, 1)]


def _known(path: Path, number: int, entry: Any) -> Known:
    where = f"{path}: entry {number}"
    if not isinstance(entry, dict) or set(entry) - _MEMBERS or _REQUIRED - set(entry):
        raise BaselineError(f"{where}: expected case, signature, reason, expires, and draft if it differs")
    if type(entry["expires"]) is not datetime.date:
        raise BaselineError(f"{where}: expires is not a date such as 2027-01-31")
    if not all(isinstance(entry.get(name, ""), str) for name in ("case", "signature", "reason", "draft")):
        raise BaselineError(f"{where}: case, signature, reason and draft are strings")
    return Known(**entry)


def apply_baseline(
    cases: Iterable[CaseResult], baseline: Iterable[Known], *, today: datetime.date, strict: bool = False
) -> BaselineOutcome:
    """Compare a run with its baseline.

    A problem, which fails the run, is: an expired entry, a failure with another signature than the known
    one, and an entry whose case does not fail any more. Entries of cases that did not run say nothing.
    """
    failing = {Verdict.FAIL, Verdict.INCONCLUSIVE, *([Verdict.NON_STRICT] if strict else [])}
    listed = list(cases)
    known: dict[tuple[str, str], str] = {}
    problems: list[str] = []
    for entry in baseline:
        for case in listed:
            if not entry.concerns(case):
                continue
            name = f"{case['id']} (draft {case['draft']})"
            if case["verdict"] not in failing:
                problems.append(f"{name}: unexpected {case['verdict']}, remove it from the baseline")
            elif entry.expires < today:
                problems.append(f"{name}: the baseline entry expired on {entry.expires}: {entry.reason}")
            elif case["signature"] != entry.signature:
                problems.append(
                    f"{name}: fails in another way than the baseline says "
                    f"({case['signature']} instead of {entry.signature}): {case['reason']}"
                )
            else:
                known[case["id"], case["draft"]] = entry.reason
    return BaselineOutcome(known=known, problems=tuple(problems))


def exit_code_with(results: Results, outcome: BaselineOutcome, *, strict: bool = False) -> int:
    """Return the exit code of a run in which known failures do not count, but problems do."""
    if outcome.problems:
        return EXIT_FAIL
    counted = [case for case in results["cases"] if (case["id"], case["draft"]) not in outcome.known]
    if len(counted) < len(results["cases"]) and not counted:
        return 0
    return exit_code(summarise(Verdict(case["verdict"]) for case in counted), strict=strict)


def as_baseline(cases: Iterable[CaseResult], *, expires: datetime.date, reason: str) -> str:
    """Return the text of a baseline file that knows the failures of a run."""
    blocks = [
        "[[known]]\n"
        f"case = {json.dumps(case['id'])}\n"
        f"draft = {json.dumps(case['draft'])}\n"
        f"signature = {json.dumps(case['signature'])}\n"
        f"reason = {json.dumps(reason)}\n"
        f"expires = {expires.isoformat()}\n"
        for case in cases
        if case["verdict"] == Verdict.FAIL
    ]
    return "\n".join(blocks)
