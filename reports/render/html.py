"""The report as one HTML page that needs nothing else: no server, no network, not even scripts to be read.

Wire logs lie in the page as JSON blocks and are drawn when a case is opened. The content security
policy allows exactly the page's own script and style, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from reports.escaping import one_line
from reports.model import CaseResult, Evidence, Results
from reports.render.page import page_environment
from reports.render.recordview import record_view
from reports.render.wirelog import rows
from reports.sources import source_url
from reports.verdict import SEVERITY, Verdict

# Bounds of the page: rows of the wire log of a case that passed, of another one, and of all together.
MAX_ROWS_PASSED = 250
MAX_ROWS_OTHER = 1500
MAX_ROWS = 60_000
MAX_RECORDS = 60

ICONS = {
    "pass": "✓",
    "non_strict": "≈",
    "fail": "✕",
    "unsupported": "–",
    "inconclusive": "?",
    "informational": "i",
}

EvidenceOf = Callable[[CaseResult], Evidence | None]


def render_html(results: Results, evidence_of: EvidenceOf) -> str:
    """Return the page; ``evidence_of`` reads the evidence of a case, one at a time."""
    environment = page_environment("reports.render", "templates")
    environment.filters["line"] = one_line
    style, script = _asset("report.css"), _asset("report.js")
    budget = MAX_ROWS
    cases: list[dict[str, Any]] = []
    for number, case in enumerate(_ordered(results["cases"])):
        view, used = _case_view(number, case, evidence_of(case), budget)
        budget -= used
        cases.append(view)
    page = environment.get_template("page.html.j2").render(
        meta={"interrupted": False, "notes": [], **results["meta"]},
        facts=_facts(results),
        tiles=_tiles(results),
        areas=_areas(cases),
        total=len(cases),
        drafts=sorted({case["draft"] for case in cases}),
        levels=[
            level
            for level in ("MUST", "SHOULD", "MAY", "IMPLIED")
            if any(level in c["levels"] for c in cases)
        ],
        style=Markup(style),  # our own files
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    return page + "\n"


def _asset(name: str) -> str:
    return files("reports.render.templates").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _ordered(cases: Sequence[CaseResult]) -> list[CaseResult]:
    return sorted(
        cases, key=lambda case: (case["area"], SEVERITY.index(Verdict(case["verdict"])), case["id"])
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    meta = results["meta"]
    facts = [
        ("target", meta["target"]),
        ("draft", meta["draft"]),
        ("role under test", meta.get("role", "server")),
    ]
    facts += [("run", meta["time"]), ("suite", meta["suite_version"])]
    if "duration_s" in meta:
        facts.append(("duration", f"{meta['duration_s']:.1f} s"))
    return [(name, one_line(value, 300)) for name, value in facts]


def _tiles(results: Results) -> list[dict[str, Any]]:
    total = sum(results["summary"].values()) or 1
    tiles, position = [], 0.0
    for verdict in Verdict:
        count = results["summary"][verdict]
        width = round(count * 1000 / total, 2)
        tiles.append(
            {
                "verdict": verdict.value,
                "label": verdict.label,
                "icon": ICONS[verdict],
                "count": count,
                "x": round(position, 2),
                "width": width,
            }
        )
        position += width
    return tiles


def _areas(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    areas: dict[str, dict[str, Any]] = {}
    for case in cases:
        area = areas.setdefault(
            case["area"], {"name": case["area"], "cases": [], "counts": dict.fromkeys(Verdict, 0)}
        )
        area["cases"].append(case)
        area["counts"][Verdict(case["verdict"])] += 1
    for area in areas.values():
        area["counts"] = [
            {"verdict": verdict.value, "label": verdict.label, "icon": ICONS[verdict], "count": count}
            for verdict, count in area["counts"].items()
            if count
        ]
    return list(areas.values())


def _case_view(
    number: int, case: CaseResult, evidence: Evidence | None, budget: int
) -> tuple[dict[str, Any], int]:
    limit = min(budget, MAX_ROWS_PASSED if case["verdict"] == Verdict.PASS else MAX_ROWS_OTHER)
    logs, used = _logs(evidence, limit)
    records = evidence["records"] if evidence else []
    views = [record_view(record) for record in records[:MAX_RECORDS]]
    requirements = [
        {
            **entry,
            "icon": ICONS[entry["verdict"]],
            "label": _label(entry["verdict"]),
            "url": source_url(entry["source"]),
        }
        for entry in case["requirements"]
    ]
    searched = " ".join(
        [
            case["id"],
            case["title"],
            case["reason"],
            *(f"{r['id']} {r['source']} {r['text']}" for r in case["requirements"]),
        ]
    )
    view = {
        "number": number,
        "id": one_line(case["id"], 200),
        "area": one_line(case["area"], 60),
        "title": case["title"],
        # The first line of a description is the title again.
        "description": case.get("description", "").removeprefix(case["title"]).strip(),
        "verdict": case["verdict"],
        "label": _label(case["verdict"]),
        "icon": ICONS[case["verdict"]],
        "draft": one_line(case["draft"], 20),
        "levels": sorted({entry["level"] for entry in case["requirements"] if entry["level"]}),
        "requirements": requirements,
        "reason": case["reason"],
        "duration": f"{case['duration_s'] * 1000:.0f} ms",
        "replay": case["replay"],
        "signature": case["signature"],
        "evidence": case["evidence"],
        "known": case.get("known", ""),
        "weak": case.get("weak", False),
        "unwitnessed": "witness" in case and case["witness"] is None,
        "witness": case.get("witness") or "",
        "records": [
            {"view": record, "label": _label(record.verdict), "icon": ICONS.get(record.verdict, "")}
            for record in views
        ],
        "more_records": max(0, len(records) - MAX_RECORDS),
        "search": one_line(searched, 3000).lower(),
        "logs": [{"label": log["label"], "count": log["count"]} for log in logs],
        "data": Markup(_json_block(logs)) if logs else "",  # < > & are escaped
    }
    return view, used


def _label(verdict: str) -> str:
    return Verdict(verdict).label if verdict else ""


def _logs(evidence: Evidence | None, limit: int) -> tuple[list[dict[str, Any]], int]:
    logs: list[dict[str, Any]] = []
    used = 0
    for connection in evidence["connections"] if evidence else []:
        listed, omitted = rows(connection["events"], max(0, limit - used))
        used += len(listed)
        logs.append(
            {
                "label": one_line(connection["label"], 80),
                "rows": listed,
                "count": len(connection["events"]) + connection["dropped"],
                "omitted": omitted,
                "dropped": connection["dropped"],
            }
        )
    return logs, used


def _json_block(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
