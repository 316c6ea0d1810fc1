"""Terminal, JUnit, Markdown, badge, Allure: what they say, and that no string gets through raw."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from reports.escaping import one_line, visible
from reports.model import results
from reports.render.allure import severity
from reports.render.badge import render_badge
from reports.render.junit import render_junit
from reports.render.markdown import render_markdown, render_matrix
from reports.render.recordview import record_view
from reports.render.terminal import LiveProgress, print_report
from reports.render.wirelog import row
from reports.sources import source_url

META = {"suite_version": "1", "target": "https://h/<x>", "draft": "16", "time": "2026-11-22T17:00:00+00:00"}


@pytest.fixture
def run(samples: Any) -> Any:
    return results(META, [item.case for item in samples])


# --- escaping ---


@given(st.text(st.characters(exclude_categories=())))
def test_visible_text_is_printable_and_fit_for_xml(text: str) -> None:
    shown = visible(text)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", shown
    )
    assert "\n" not in one_line(text)
    element = ElementTree.Element("x", a=shown)
    element.text = shown
    parsed = ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8"))
    assert (parsed.text or "") == shown


def test_long_text_is_cut_with_a_mark() -> None:
    assert visible("a" * 10, 4) == "aaaa… (10 characters)"
    assert visible("\x00\x85\u202e\ud800") == "\\x00\\x85\\u202e\\ud800"


# --- JUnit ---

# The shape that the schemas of Jenkins and of Ant's JUnit task share: parent, children in order, required.
SHAPE: dict[str, tuple[list[str], set[str]]] = {
    "testsuites": (["testsuite"], {"name", "tests", "failures", "errors", "time"}),
    "testsuite": (
        ["properties", "testcase", "system-out", "system-err"],
        {"id", "name", "package", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    ),
    "properties": (["property"], set()),
    "property": ([], {"name", "value"}),
    "testcase": (["skipped", "error", "failure", "system-out", "system-err"], {"name", "classname", "time"}),
    "failure": ([], {"type", "message"}),
    "error": ([], {"type", "message"}),
    "skipped": ([], {"message"}),
    "system-out": ([], set()),
    "system-err": ([], set()),
}


def check_shape(element: ElementTree.Element) -> None:
    children, attributes = SHAPE[element.tag]
    assert attributes <= set(element.attrib)
    order = [children.index(child.tag) for child in element]
    assert order == sorted(order)
    for child in element:
        check_shape(child)


def test_junit(run: Any) -> None:
    root = ElementTree.fromstring(render_junit(run))
    check_shape(root)
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == (
        "7",
        "2",
        "1",
        "1",
    )
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
    text = ElementTree.tostring(root, encoding="unicode")
    assert "replay: wtconform run" in text and "\\x1b[31m" in text
    names = [case.get("name") for case in root.iter("testcase")]
    assert len(set(names)) == len(names)


def test_junit_under_strict(run: Any) -> None:
    run["meta"]["strict"] = True
    assert ElementTree.fromstring(render_junit(run)).get("failures") == "3"
    run["meta"]["time"] = "yesterday"
    check_shape(ElementTree.fromstring(render_junit(run)))


def test_known_failures_do_not_fail_ci(run: Any) -> None:
    for case in run["cases"]:
        if case["verdict"] == "fail":
            case["known"] = "reported"
    root = ElementTree.fromstring(render_junit(run))
    check_shape(root)
    assert (root.get("failures"), root.get("skipped")) == ("0", "3")


def test_junit_of_nothing() -> None:
    check_shape(ElementTree.fromstring(render_junit(results(META, []))))


# --- terminal ---


def printed(run: Any, **options: Any) -> str:
    stream = io.StringIO()
    print_report(run, Console(file=stream, width=100, **options))
    return stream.getvalue()


def test_plain_terminal(run: Any) -> None:
    text = printed(run)
    assert "\x1b" not in text
    for word in (
        "Failed (2)",
        "Inconclusive (1)",
        "Non-strict",
        "draft-ietf-webtrans-http3-16 §4",
        "replay:",
    ):
        assert word in text
    assert "did not close the connection within 2 s" in text
    assert text.rstrip().endswith(
        "1 pass, 1 non-strict, 2 fail, 1 unsupported, 1 inconclusive, 1 informational"
    )


def test_coloured_terminal_shows_no_control_of_the_target(run: Any) -> None:
    text = printed(run, force_terminal=True, color_system="standard")
    assert "\x1b[" in text
    # The target's own red would be exactly this, without rich's reset behind it.
    assert "\\x1b[31m" in re.sub("\x1b\\[[0-9;]*m", "", text)
    assert "\x00" not in text and "\u202e" not in text


def test_long_lists_are_cut(samples: Any) -> None:
    fail: Any = next(item.case for item in samples if item.case["verdict"] == "fail")
    listed: Any = [{**fail, "id": f"a.b{number}"} for number in range(70)]
    many = results(META, listed)
    assert "and 20 more" in printed(many)
    assert "nothing ran" in printed(results(META, []))


def test_live_progress_without_terminal(samples: Any) -> None:
    stream = io.StringIO()
    with LiveProgress(7, Console(file=stream, width=100)) as progress:
        for item in samples:
            progress.add(item.case)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "\x1b" not in stream.getvalue()
    assert progress.counts["fail"] == 2


def test_live_progress_on_a_terminal(samples: Any) -> None:
    stream = io.StringIO()
    with LiveProgress(7, Console(file=stream, width=100, force_terminal=True)) as progress:
        progress.add(samples[0].case)
    assert "1/7" in stream.getvalue()


# --- Markdown, badge, Allure ---


def test_markdown(run: Any) -> None:
    text = render_markdown(run)
    assert "| **all** | **1** | **1** | **2** | **1** | **1** | **1** |" in text
    assert "<script>" not in text.replace("\\<script\\>", "") and "\x1b" not in text
    matrix = render_matrix({"one|two": run, "empty": results(META, [])})
    assert "one\\|two" in matrix and "❌ 0/1 | – |" in matrix


def test_badge(run: Any) -> None:
    root = ElementTree.fromstring(render_badge(run))
    assert "draft 16: 1/6, 2 failed" in "".join(root.itertext())
    passed = results({**META, "draft": "<&>"}, [run["cases"][0] | {"verdict": "pass"}])
    assert "#2e7d32" in render_badge(passed) and "&lt;&amp;&gt;" in render_badge(passed)


def test_allure(tmp_path: Path, run: Any) -> None:
    """Through the real plugin: a test in a process of its own reports, the result files say so."""
    test = tmp_path / "test_inner.py"
    (tmp_path / "run.json").write_text(json.dumps(run["cases"][-2]))
    test.write_text(
        "import json, pathlib\n"
        "from reports.render.allure import report\n"
        "def test_case():\n"
        "    case = json.loads((pathlib.Path(__file__).parent / 'run.json').read_text())\n"
        "    report(case, {'records': [], 'connections': [{'label': 'x', 'events': [{}], 'dropped': 2}]})\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command += ["-c", str(tmp_path / "none.ini"), "--alluredir", str(tmp_path / "allure"), str(test)]
    (tmp_path / "none.ini").write_text(f"[pytest]\npythonpath = {root}\n")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = [path.read_text() for path in (tmp_path / "allure").glob("*-result.json")]
    for word in ("WebTransport conformance", "severity", "wire log: x", "verdict", "replay"):
        assert word in result


def test_severity(run: Any) -> None:
    by_verdict = {case["verdict"]: case for case in run["cases"]}
    assert severity(by_verdict["pass"]) == "critical"
    assert severity(by_verdict["informational"]) == "normal"
    assert severity(by_verdict["unsupported"]) == "normal"


# --- parts ---


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("RFC 9114 §7.2.4", "https://www.rfc-editor.org/rfc/rfc9114.html#section-7.2.4"),
        ("RFC9000", "https://www.rfc-editor.org/rfc/rfc9000.html"),
        (
            "draft-ietf-webtrans-http3-16 §4.2",
            "https://datatracker.ietf.org/doc/html/draft-ietf-webtrans-http3-16#section-4.2",
        ),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_source_url(source: str, url: str | None) -> None:
    assert source_url(source) == url


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
EVENT_KEYS = st.sampled_from(
    [
        "name",
        "time",
        "layer",
        "stream_id",
        "fields",
        "entries",
        "error_code",
        "data",
        "data_length",
        "frame_type",
    ]
)


@given(st.dictionaries(EVENT_KEYS, JSON))
def test_whatever_an_event_holds_it_is_a_row_of_plain_text(event: dict[str, Any]) -> None:
    listed = row(event)
    assert len(listed) == 6
    assert all(isinstance(cell, (str, float, int)) for cell in listed)
    assert len(str(listed[5])) < 500


def test_rows_name_codes_and_fields() -> None:
    event = {"name": "FieldSection", "fields": [["3a737461747573", "323030"]], "time": 0.5, "layer": "h3"}
    assert row(event) == [500.0, 0, "h3", "FieldSection", "", "fields=:status: 200"]
    closed = {"name": "ConnectionClosed", "error_code": 0x0A, "frame_type": 6, "layer": "quic"}
    assert "PROTOCOL_VIOLATION" in str(row(closed)[5])


def test_frames_are_named_and_on_a_layer_of_their_own() -> None:
    frame = {
        "name": "QuicFrame",
        "layer": "quic",
        "frame_type": 4,
        "frame_name": "reset_stream",
        "packet_type": "1rtt",
        "packet_number": 7,
        "details": {"stream_id": 8, "error_code": 0x10E},
    }
    expected = [0.0, 0, "frame", "RESET_STREAM", "8", "error_code=H3_MESSAGE_ERROR (0x10e)  packet=1rtt 7"]
    assert row(frame) == expected
    assert row({**frame, "details": "x", "frame_name": 3})[2:4] == ["frame", "QuicFrame"]
    close = {**frame, "frame_type": 0x1C, "frame_name": "connection_close", "details": {"error_code": 0x0A}}
    assert "PROTOCOL_VIOLATION" in str(row(close)[5])
    parameters = {"name": "TransportParameters", "layer": "quic", "parameters": {"29": "", "x": 1}}
    assert row(parameters)[5] == "parameters=0x1d=, x=1"


def test_views_of_records(samples: Any) -> None:
    views = [record_view(record) for item in samples for record in item.evidence["records"]]
    assert {view.kind for view in views} == {
        "sanity before",
        "sanity after",
        "twin",
        "expect",
        "note",
        "unsupported",
        "error",
        "informational",
        "check",
    }
    assert all(view.sentence for view in views)
    assert record_view({"record": "odd"}).kind == "unknown"
    facts = dict(next(view for view in views if view.kind == "expect").facts)
    assert facts["with"] == "code H3_ID_ERROR (0x108)"
    assert facts["seen"] == "CONNECTION_CLOSE (application) with H3_ID_ERROR (0x108)"
