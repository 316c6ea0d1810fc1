"""Compare two runs: what got worse, what got better, what came and went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from reports.escaping import one_line
from reports.model import CaseResult, Results, key_of
from reports.verdict import SEVERITY, Verdict

Kind: TypeAlias = Literal["worse", "better", "differs", "added", "removed"]
KINDS: Mapping[Kind, str] = {
    "worse": "Worse",
    "better": "Better",
    "differs": "Same verdict, other reaction",
    "added": "Only in the new run",
    "removed": "Only in the old run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One case that differs; ``old`` and ``new`` are verdicts, None where a run has no such case."""

    id: str
    draft: str
    role: str
    kind: Kind
    old: str | None
    new: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """The difference of two runs."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]
    changes: tuple[Change, ...]
    unchanged: int

    @property
    def worse(self) -> bool:
        """Tell whether a case got worse."""
        return any(change.kind == "worse" for change in self.changes)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: both metas, the changes, and how many cases stayed the same."""
        return {
            "old": dict(self.old),
            "new": dict(self.new),
            "unchanged": self.unchanged,
            "changes": [asdict(change) for change in self.changes],
        }

    def as_text(self) -> str:
        """Return the difference for a terminal, one line for each change."""
        lines = [f"old: {_run(self.old)}", f"new: {_run(self.new)}", ""]
        for kind, title in KINDS.items():
            chosen = [change for change in self.changes if change.kind == kind]
            if chosen:
                lines += [f"{title} ({len(chosen)})", *(f"  {_line(change)}" for change in chosen), ""]
        lines.append(f"{self.unchanged} unchanged, {len(self.changes)} changed")
        return "\n".join(lines) + "\n"

    def as_markdown(self) -> str:
        """Return the difference as a Markdown table."""
        lines = [f"old: {_cell(_run(self.old))}  ", f"new: {_cell(_run(self.new))}", ""]
        if self.changes:
            lines += ["| case | draft | change | old | new | reason |", "|---|---|---|---|---|---|"]
            for change in self.changes:
                cells = (
                    change.id,
                    change.draft,
                    change.kind,
                    _label(change.old),
                    _label(change.new),
                    change.reason,
                )
                lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
            lines.append("")
        lines.append(f"{self.unchanged} unchanged, {len(self.changes)} changed")
        return "\n".join(lines) + "\n"


def _run(meta: Mapping[str, Any]) -> str:
    return one_line(f"{meta.get('target')} · draft {meta.get('draft')} · {meta.get('time')}", 300)


def _label(verdict: str | None) -> str:
    return "–" if verdict is None else Verdict(verdict).label


def _line(change: Change) -> str:
    return one_line(
        f"{change.id} (draft {change.draft}): {_label(change.old)} → {_label(change.new)}: {change.reason}",
        500,
    )


def _cell(text: str) -> str:
    shown = one_line(text, 300)
    for character in "\\`*_[]<>|":
        shown = shown.replace(character, "\\" + character)
    return shown


def diff(old: Results, new: Results) -> Diff:
    """Compare two runs case by case; the changes are ordered by kind and ID."""
    before = {key_of(case): case for case in old["cases"]}
    after = {key_of(case): case for case in new["cases"]}
    changes = [
        change
        for key in sorted(before.keys() | after.keys())
        if (change := _change(before.get(key), after.get(key))) is not None
    ]
    order = list(KINDS)
    changes.sort(key=lambda change: (order.index(change.kind), change.id, change.draft))
    return Diff(
        old=old["meta"],
        new=new["meta"],
        changes=tuple(changes),
        unchanged=len(before.keys() & after.keys())
        - sum(change.old is not None and change.new is not None for change in changes),
    )


def _change(old: CaseResult | None, new: CaseResult | None) -> Change | None:
    case = new or old
    assert case is not None
    kind: Kind
    if old is None or new is None:
        kind = "added" if old is None else "removed"
    elif old["verdict"] != new["verdict"]:
        ranks = [SEVERITY.index(Verdict(entry["verdict"])) for entry in (old, new)]
        kind = "worse" if ranks[1] < ranks[0] else "better"
    elif old["signature"] != new["signature"]:
        kind = "differs"
    else:
        return None
    return Change(
        id=case["id"],
        draft=case["draft"],
        role=case["role"],
        kind=kind,
        old=None if old is None else old["verdict"],
        new=None if new is None else new["verdict"],
        reason=case["reason"],
    )
