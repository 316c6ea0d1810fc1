"""The terminal: a live line while a run is under way, then table, failures and what is discouraged.

Without a terminal the same as plain text. Strings of the target never reach the terminal raw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from reports.escaping import one_line
from reports.model import CaseResult, Results
from reports.render.markdown import by_area
from reports.verdict import Verdict

STYLES: Mapping[Verdict, str] = {
    Verdict.PASS: "green",
    Verdict.NON_STRICT: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.UNSUPPORTED: "dim",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.INFORMATIONAL: "blue",
}
# What is listed case by case, in this order; the rest is in the other reports.
LISTED: Sequence[tuple[Verdict, str]] = (
    (Verdict.FAIL, "Failed"),
    (Verdict.INCONCLUSIVE, "Inconclusive"),
    (Verdict.NON_STRICT, "Non-strict: allowed but discouraged, a fail under --strict"),
)
MAX_LISTED = 50


def print_report(results: Results, console: Console) -> None:
    """Print the table of verdicts by area, then failures with section, reason and replay line."""
    console.print(summary_table(results))
    for verdict, title in LISTED:
        chosen = [case for case in results["cases"] if case["verdict"] == verdict]
        if not chosen:
            continue
        console.print(Text(f"{title} ({len(chosen)})", style=STYLES[verdict]))
        for case in chosen[:MAX_LISTED]:
            console.print(case_lines(case), soft_wrap=True)
        if len(chosen) > MAX_LISTED:
            console.print(Text(f"  … and {len(chosen) - MAX_LISTED} more, see results.json"))
        console.print()
    console.print(summary_line(results["summary"]))


def summary_table(results: Results) -> RenderableType:
    """Return the table of counts, one row for each area."""
    meta = results["meta"]
    title = one_line(f"{meta['target']} · draft {meta['draft']}", 200)
    table = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False)
    table.add_column("area", footer="all")
    for verdict in Verdict:
        count = str(results["summary"][verdict])
        table.add_column(verdict.label, footer=count, justify="right", header_style=STYLES[verdict])
    for area, counts in by_area(results["cases"]).items():
        cells = [
            Text(str(counts[v]), style=STYLES[v]) if counts[v] else Text("·", style="dim") for v in Verdict
        ]
        table.add_row(Text(one_line(area, 60)), *cells)
    return Group(Text(title, style="bold"), table)


def case_lines(case: CaseResult) -> Text:
    """Return the lines of one case: ID, requirements with section, reason, replay line."""
    verdict = Verdict(case["verdict"])
    lines = Text("  ")
    lines.append(one_line(case["id"], 200), style=STYLES[verdict])
    lines.append(f"  draft {one_line(case['draft'], 20)}", style="dim")
    if case.get("known"):
        lines.append(f"  known: {one_line(case['known'], 200)}", style="dim")
    for entry in case["requirements"]:
        if entry["verdict"] == case["verdict"]:
            text = one_line(entry["text"], 200)
            lines.append(f"\n    {entry['id']} · {one_line(entry['source'], 100)} · {entry['level']}: {text}")
    lines.append(f"\n    {one_line(case['reason'], 1000)}")
    lines.append("\n    replay: ", style="dim")
    lines.append(one_line(case["replay"], 1000))
    return lines


def summary_line(summary: Mapping[str, int]) -> Text:
    """Return the counts in one line; verdicts that did not occur are left out."""
    line = Text()
    for verdict in Verdict:
        if summary[verdict]:
            line.append(", " if line else "")
            line.append(f"{summary[verdict]} {verdict.label}", style=STYLES[verdict])
    return line or Text("nothing ran")


class LiveProgress:
    """Progress of a run: a live bar on a terminal; elsewhere a line for each case that is no pass."""

    def __init__(self, total: int, console: Console) -> None:
        self.counts = {verdict.value: 0 for verdict in Verdict}
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=total)

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def add(self, case: CaseResult) -> None:
        """Count a finished case; what is listed at the end is shown at once, too."""
        verdict = Verdict(case["verdict"])
        self.counts[verdict] += 1
        self._progress.update(self._task, advance=1, description=summary_line(self.counts).plain)
        if verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NON_STRICT):
            line = Text(f"{verdict.label:>12}  ", style=STYLES[verdict])
            line.append(one_line(f"{case['id']}: {case['reason']}", 300), style="default")
            self._console.print(line, soft_wrap=True)
