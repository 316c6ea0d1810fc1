"""One page for all runs: a table of areas by target, and the reasons behind what is no pass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from reports.escaping import one_line
from reports.render.markdown import SIGNS, by_area, escape, render_matrix
from reports.render.page import page_environment
from reports.verdict import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_OK, SEVERITY, Verdict, worst
from scenarios.matrix.playing import Played

# Verdicts whose reasons the page lists, and how many of each run.
LISTED: Final = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NON_STRICT, Verdict.UNSUPPORTED)
MAX_REASONS: Final = 100


def exit_code(played: Sequence[Played]) -> int:
    """Return the exit code of a matrix: 1 for any fail, 3 for what could not be judged or for no run."""
    codes = {item.exit_code for item in played if not item.skipped}
    if EXIT_FAIL in codes:
        return EXIT_FAIL
    return EXIT_INCONCLUSIVE if EXIT_INCONCLUSIVE in codes or not codes else EXIT_OK


def without_report(item: Played) -> str:
    """Return why there is no report of a run, empty text where there is one."""
    if item.results is not None:
        return ""
    return f"skipped: {item.skipped}" if item.skipped else f"no report: {item.problem}"


def reasons(item: Played) -> list[dict[str, str]]:
    """Return what is no pass in a run, the worst first, at most ``MAX_REASONS`` of each verdict."""
    cases = item.results["cases"] if item.results is not None else []
    found = []
    for verdict in LISTED:
        chosen = [case for case in cases if case["verdict"] == verdict.value]
        found += [
            {
                "verdict": verdict.label,
                "case": case["id"],
                "requirements": ", ".join(entry["id"] for entry in case["requirements"]),
                "reason": one_line(case["reason"], 300),
            }
            for case in chosen[:MAX_REASONS]
        ]
    return found


def link(item: Played, out: Path) -> str:
    """Return the address of a run's own report, seen from the page."""
    return f"{os.path.relpath(item.directory, out)}/index.html"


def render_markdown(played: Sequence[Played], out: Path) -> str:
    """Return the page as Markdown."""
    runs = {item.name: item.results for item in played if item.results is not None}
    lines = ["# WebTransport conformance matrix", ""]
    if runs:
        lines += ["Worst verdict of each area, and how many of its cases passed.", "", render_matrix(runs)]
    for item in played:
        lines += [f"## {escape(item.name)}", ""]
        if item.results is None:
            lines += [escape(without_report(item), 1000), ""]
            continue
        counts = ", ".join(f"{count} {name}" for name, count in item.results["summary"].items() if count)
        lines += [f"{escape(counts)} · [report]({link(item, out)})", ""]
        lines += [
            f"- {entry['verdict']}: {escape(entry['case'])} ({escape(entry['requirements'])}): "
            f"{escape(entry['reason'])}"
            for entry in reasons(item)
        ]
        lines.append("")
    return "\n".join(lines)


def render_html(played: Sequence[Played], out: Path) -> str:
    """Return the page as HTML that needs no other file."""
    environment = page_environment("scenarios.matrix", ".")
    runs = [(item, by_area(item.results["cases"])) for item in played if item.results is not None]
    areas = sorted({area for _, counts in runs for area in counts})
    rows = [{"area": area, "cells": [_cell(counts.get(area)) for _, counts in runs]} for area in areas]
    return environment.get_template("matrix.html.j2").render(
        columns=[{"name": item.name, "link": link(item, out)} for item, _ in runs],
        rows=rows,
        sections=[
            {
                "name": item.name,
                "without": without_report(item),
                "link": link(item, out),
                "summary": item.results["summary"] if item.results is not None else {},
                "reasons": reasons(item),
            }
            for item in played
        ],
    )


def _cell(counts: dict[Verdict, int] | None) -> dict[str, Any]:
    if counts is None:
        return {"sign": "–", "text": "", "title": "no case", "verdict": "none"}
    verdict = worst(item for item, count in counts.items() if count)
    named = [f"{counts[item]} {item.label}" for item in SEVERITY if counts[item]]
    return {
        "sign": SIGNS[verdict],
        "text": f"{counts[Verdict.PASS]}/{sum(counts.values())}",
        "title": ", ".join(named),
        "verdict": verdict.value,
    }
