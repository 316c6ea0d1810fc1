"""Markdown: the summary of one run, and a matrix of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.escaping import one_line
from reports.model import CaseResult, Results
from reports.verdict import SEVERITY, Verdict, worst

SIGNS: Mapping[Verdict, str] = {
    Verdict.PASS: "✅",
    Verdict.NON_STRICT: "🟡",
    Verdict.FAIL: "❌",
    Verdict.UNSUPPORTED: "➖",
    Verdict.INCONCLUSIVE: "❓",
    Verdict.INFORMATIONAL: "🔵",
}
MAX_LISTED = 200


def escape(text: object, limit: int = 300) -> str:
    """Return the text as one line that Markdown takes literally, HTML included."""
    shown = one_line(text, limit)
    for character in "\\`*_[]<>|#~!":
        shown = shown.replace(character, "\\" + character)
    return shown


def _code(text: object) -> str:
    return "`" + one_line(text, 500).replace("`", "'").replace("|", "\\|") + "`"


def by_area(cases: Sequence[CaseResult]) -> dict[str, dict[Verdict, int]]:
    """Count the verdicts of each area."""
    counts: dict[str, dict[Verdict, int]] = {}
    for case in sorted(cases, key=lambda case: case["area"]):
        area = counts.setdefault(case["area"], dict.fromkeys(Verdict, 0))
        area[Verdict(case["verdict"])] += 1
    return counts


def render_markdown(results: Results) -> str:
    """Return the summary of a run: counts by area, then every case that is no pass."""
    meta = results["meta"]
    lines = [
        f"# WebTransport conformance: {escape(meta['target'])}",
        "",
        f"draft {escape(meta['draft'])} · {escape(meta['time'])} · suite {escape(meta['suite_version'])}",
        "",
        "| area | " + " | ".join(f"{SIGNS[verdict]} {verdict.label}" for verdict in Verdict) + " |",
        "|---|" + "---:|" * len(Verdict),
    ]
    for area, counts in by_area(results["cases"]).items():
        lines.append(f"| {escape(area)} | " + " | ".join(str(counts[v] or "") for v in Verdict) + " |")
    total = results["summary"]
    lines += ["| **all** | " + " | ".join(f"**{total[v.value]}**" for v in Verdict) + " |", ""]
    for verdict in SEVERITY:
        chosen = [case for case in results["cases"] if case["verdict"] == verdict]
        if verdict is Verdict.PASS or not chosen:
            continue
        lines += [f"## {SIGNS[verdict]} {verdict.label} ({len(chosen)})", ""]
        lines += [_line(case) for case in chosen[:MAX_LISTED]]
        if len(chosen) > MAX_LISTED:
            lines.append(f"- … and {len(chosen) - MAX_LISTED} more")
        lines.append("")
    return "\n".join(lines)


def _line(case: CaseResult) -> str:
    sources = ", ".join(dict.fromkeys(f"{entry['id']} {entry['source']}" for entry in case["requirements"]))
    return f"- {_code(case['id'])} ({escape(sources)}): {escape(case['reason'])}  \n  {_code(case['replay'])}"


def render_matrix(runs: Mapping[str, Results]) -> str:
    """Return a table of areas by run: the worst verdict of each area and how many cases passed."""
    names = list(runs)
    counted = {name: by_area(results["cases"]) for name, results in runs.items()}
    areas = sorted({area for counts in counted.values() for area in counts})
    lines = ["| area | " + " | ".join(map(escape, names)) + " |", "|---|" + "---|" * len(names)]
    for area in areas:
        cells = [_cell(counted[name].get(area)) for name in names]
        lines.append(f"| {escape(area)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(counts: Mapping[Verdict, int] | None) -> str:
    if counts is None:
        return "–"
    verdict = worst(verdict for verdict, count in counts.items() if count)
    return f"{SIGNS[verdict]} {counts[Verdict.PASS]}/{sum(counts.values())}"
