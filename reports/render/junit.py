"""JUnit XML, as Jenkins, GitLab and GitHub read it: one suite for each area.

A fail is a ``failure``, an inconclusive case an ``error``, an unsupported one is ``skipped``; a non-strict
one passes, and is a ``failure`` only in a run under ``--strict``. A failure that the baseline knows is
``skipped``, too, so that CI and exit code agree. The verdict itself stands in
``system-out`` with reason, requirements and replay line.
"""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any

from reports.escaping import one_line, visible
from reports.model import CaseResult, Results
from reports.verdict import Verdict

MAX_MESSAGE = 500


def render_junit(results: Results) -> str:
    """Return the run as JUnit XML text."""
    strict = bool(results["meta"].get("strict"))
    root = ElementTree.Element("testsuites", name="wtconform")
    areas: dict[str, list[CaseResult]] = {}
    for case in results["cases"]:
        areas.setdefault(case["area"], []).append(case)
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for identifier, (area, cases) in enumerate(sorted(areas.items())):
        suite = _suite(root, identifier, area, cases, results["meta"], strict)
        for name in totals:
            totals[name] += int(suite.attrib[name])
    for name, value in totals.items():
        root.set(name, str(value))
    root.set("time", _seconds(results["cases"]))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(
    root: ElementTree.Element,
    identifier: int,
    area: str,
    cases: Sequence[CaseResult],
    meta: Mapping[str, Any],
    strict: bool,
) -> ElementTree.Element:
    suite = ElementTree.SubElement(
        root, "testsuite", id=str(identifier), name=one_line(area), package="wtconform"
    )
    suite.set("hostname", "localhost")
    suite.set("timestamp", _timestamp(str(meta.get("time", ""))))
    suite.set("time", _seconds(cases))
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("suite_version", "target", "draft"):
        ElementTree.SubElement(properties, "property", name=name, value=one_line(meta.get(name, "")))
    counts = {"tests": len(cases), "failures": 0, "errors": 0, "skipped": 0}
    for case in cases:
        kind = _case(suite, case, strict)
        if kind is not None:
            counts[kind] += 1
    ElementTree.SubElement(suite, "system-out")
    ElementTree.SubElement(suite, "system-err")
    for name, value in counts.items():
        suite.set(name, str(value))
    return suite


def _case(suite: ElementTree.Element, case: CaseResult, strict: bool) -> str | None:
    name = one_line(f"{case['id']}[{case['role']}-{case['draft']}]")
    element = ElementTree.SubElement(
        suite, "testcase", name=name, classname=f"wtconform.{one_line(case['area'])}"
    )
    element.set("time", f"{case['duration_s']:.3f}")
    message = one_line(case["reason"], MAX_MESSAGE)
    verdict = Verdict(case["verdict"])
    kind = None
    if case.get("known"):
        ElementTree.SubElement(
            element, "skipped", message=f"known failure: {one_line(case['known'], MAX_MESSAGE)}"
        )
        kind = "skipped"
    elif verdict is Verdict.FAIL or (strict and verdict is Verdict.NON_STRICT):
        ElementTree.SubElement(element, "failure", type=verdict.value, message=message).text = visible(
            _details(case)
        )
        kind = "failures"
    elif verdict is Verdict.INCONCLUSIVE:
        ElementTree.SubElement(element, "error", type=verdict.value, message=message).text = visible(
            _details(case)
        )
        kind = "errors"
    elif verdict is Verdict.UNSUPPORTED:
        ElementTree.SubElement(element, "skipped", message=message)
        kind = "skipped"
    ElementTree.SubElement(element, "system-out").text = visible(_details(case))
    return kind


def _details(case: CaseResult) -> str:
    lines = [f"verdict: {Verdict(case['verdict']).label}", f"reason: {case['reason']}"]
    if case.get("known"):
        lines.append(f"known failure: {case['known']}")
    lines += [
        f"{entry['id']} ({entry['level']}, {entry['source']}): {Verdict(entry['verdict']).label}"
        for entry in case["requirements"]
    ]
    lines += [f"signature: {case['signature']}", f"replay: {case['replay']}"]
    return "\n".join(lines)


def _seconds(cases: Sequence[CaseResult]) -> str:
    return f"{sum(case['duration_s'] for case in cases):.3f}"


def _timestamp(text: str) -> str:
    # The schemas want local ISO time without zone and fraction.
    try:
        return datetime.datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return "1970-01-01T00:00:00"
