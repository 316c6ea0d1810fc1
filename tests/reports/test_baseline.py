"""Known failures and the comparison of two runs."""

from __future__ import annotations

import copy
import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from reports.baseline import BaselineError, Known, apply_baseline, as_baseline, exit_code_with, load_baseline
from reports.diff import diff
from reports.model import results

TODAY = datetime.date(2026, 11, 22)
META = {"suite_version": "1", "target": "https://h/|x|", "draft": "16", "time": "2026-11-22T17:00:00Z"}


@pytest.fixture
def cases(samples: Any) -> dict[str, Any]:
    return {item.case["verdict"]: item.case for item in samples[:6]}


def known(case: Any, /, **members: Any) -> Known:
    fields = {
        "case": case["id"],
        "signature": case["signature"],
        "reason": "reported",
        "expires": TODAY,
    }
    return Known(**{**fields, **members})


def test_a_known_failure_does_not_count(cases: Any) -> None:
    listed = [cases["fail"], cases["pass"]]
    outcome = apply_baseline(listed, [known(cases["fail"])], today=TODAY)
    assert outcome.problems == ()
    assert exit_code_with(results(META, listed), outcome) == 0
    assert exit_code_with(results(META, [cases["fail"]]), outcome) == 0
    none = apply_baseline(listed, [], today=TODAY)
    assert exit_code_with(results(META, listed), none) == 1


def test_what_fails_the_run(cases: Any) -> None:
    listed = [cases["fail"], cases["pass"], cases["non_strict"]]
    expired = known(cases["fail"], expires=TODAY - datetime.timedelta(days=1))
    changed = known(cases["fail"], signature="other")
    passing = known(cases["pass"])
    for entry, word in ((expired, "expired"), (changed, "another way"), (passing, "unexpected pass")):
        outcome = apply_baseline(listed, [entry], today=TODAY)
        assert len(outcome.problems) == 1
        assert word in outcome.problems[0]
        assert exit_code_with(results(META, listed), outcome) == 1


def test_entries_of_other_drafts_and_of_cases_that_did_not_run_say_nothing(cases: Any) -> None:
    entries = [known(cases["fail"], draft="02"), known(cases["fail"], case="a.b")]
    outcome = apply_baseline([cases["fail"]], entries, today=TODAY)
    assert not outcome.known
    assert not outcome.problems


def test_non_strict_is_known_under_strict_only(cases: Any) -> None:
    entry = known(cases["non_strict"])
    assert apply_baseline([cases["non_strict"]], [entry], today=TODAY).problems
    assert apply_baseline([cases["non_strict"]], [entry], today=TODAY, strict=True).known


def test_written_baseline_is_read_again(tmp_path: Path, cases: Any) -> None:
    path = tmp_path / "baseline.toml"
    path.write_text(as_baseline(cases.values(), expires=TODAY, reason='"quoted" \\ reason'))
    (entry,) = load_baseline(path)
    assert entry == known(cases["fail"], draft="16", reason='"quoted" \\ reason')


@pytest.mark.parametrize(
    "text",
    [
        "known = 3",
        "other = 1",
        "[[known",
        "[[known]]\ncase = 'a'",
        "[[known]]\ncase = 'a'\nsignature = 's'\nreason = 'r'\nexpires = 'soon'",
        "[[known]]\ncase = 1\nsignature = 's'\nreason = 'r'\nexpires = 2027-01-01",
        "[[known]]\ncase = 'a'\nsignature = 's'\nreason = 'r'\nexpires = 2027-01-01\nmore = 1",
    ],
)
def test_a_broken_baseline_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.toml"
    path.write_text(text)
    with pytest.raises(BaselineError) as caught:
        load_baseline(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    with pytest.raises(BaselineError, match="cannot read"):
        load_baseline(tmp_path / "none.toml")


def test_diff(cases: Any) -> None:
    old = results(
        META, copy.deepcopy([cases["pass"], cases["fail"], cases["non_strict"], cases["unsupported"]])
    )
    worse, better, other = copy.deepcopy([cases["pass"], cases["fail"], cases["non_strict"]])
    worse["verdict"], better["verdict"], other["signature"] = "fail", "pass", "0000"
    worse["reason"] = "a | b\n<script>\x1b[31m"
    new = results(META, [worse, better, other, cases["inconclusive"]])
    difference = diff(old, new)
    assert [change.kind for change in difference.changes] == [
        "worse",
        "better",
        "differs",
        "added",
        "removed",
    ]
    assert difference.unchanged == 0
    assert difference.worse
    assert json.loads(json.dumps(difference.as_json()))["changes"][0]["new"] == "fail"
    text, markdown = difference.as_text(), difference.as_markdown()
    assert "\x1b" not in text + markdown
    assert "a \\| b\\\\n\\<script\\>" in markdown
    same = diff(old, old)
    assert (same.changes, same.unchanged, same.worse) == ((), 4, False)
    assert "4 unchanged, 0 changed" in same.as_text() and "|" not in same.as_markdown().splitlines()[-1]
