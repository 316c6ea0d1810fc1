"""Results for Allure: areas are epics, requirements stories with their section, levels severities.

Call ``report`` inside of a running test, and only where allure-pytest is active.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import allure

from reports.escaping import one_line, visible
from reports.model import CaseResult, Evidence
from reports.sources import source_url
from reports.verdict import Verdict

SEVERITIES: Mapping[str, str] = {
    "MUST": allure.severity_level.CRITICAL,
    "SHOULD": allure.severity_level.NORMAL,
    "IMPLIED": allure.severity_level.NORMAL,
    "MAY": allure.severity_level.MINOR,
}
ORDER = ("MUST", "SHOULD", "IMPLIED", "MAY")
MAX_ATTACHMENT = 2_000_000


def severity(case: CaseResult) -> str:
    """Return the severity of a case: that of its strongest requirement."""
    levels = {entry["level"] for entry in case["requirements"]}
    strongest = next((level for level in ORDER if level in levels), "IMPLIED")
    return SEVERITIES[strongest]


def report(case: CaseResult, evidence: Evidence | None = None) -> None:
    """Add labels, description and attachments to the test that is running."""
    dynamic: Any = allure.dynamic  # its methods carry no types
    dynamic.title(one_line(case["title"] or case["id"]))
    dynamic.epic("WebTransport conformance")
    dynamic.feature(one_line(case["area"]))
    dynamic.severity(severity(case))
    dynamic.tag(f"draft-{one_line(case['draft'])}", Verdict(case["verdict"]).label)
    for entry in case["requirements"]:
        dynamic.story(one_line(f"{entry['id']} · {entry['source']}"))
        url = source_url(entry["source"])
        if url is not None:
            dynamic.link(url, name=one_line(f"{entry['id']} · {entry['source']}"))
    dynamic.parameter("draft", one_line(case["draft"]))
    dynamic.description(visible(case.get("description") or case["title"]))
    _attach("verdict", _verdict(case))
    _attach("replay", case["replay"])
    if evidence is not None:
        _attach("records", json.dumps(evidence["records"], indent=1), allure.attachment_type.JSON)
        for log in evidence["connections"]:
            lines = [json.dumps(event) for event in log["events"]]
            if log["dropped"]:
                lines.append(f"… {log['dropped']} more events were cut off")
            _attach(f"wire log: {one_line(log['label'])}", "\n".join(lines))


def _verdict(case: CaseResult) -> str:
    lines = [f"{Verdict(case['verdict']).label}: {case['reason']}"]
    lines += [
        f"{entry['id']} {entry['level']} {entry['source']}: {Verdict(entry['verdict']).label}"
        for entry in case["requirements"]
    ]
    return "\n".join(lines)


def _attach(name: str, text: str, kind: allure.attachment_type = allure.attachment_type.TEXT) -> None:
    shown = text if len(text) <= MAX_ATTACHMENT else f"{text[:MAX_ATTACHMENT]}\n… cut, {len(text)} characters"
    allure.attach(visible(shown, len(shown)), name=name, attachment_type=kind)
