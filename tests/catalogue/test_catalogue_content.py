"""The catalogue of the suite itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from conformance.harness.case import load_cases
from conformance.requirements import Status, by_id, catalogue, coverage, load
from conformance.requirements.model import Level, Limit, Role
from conformance.requirements.page import main, render

ROOT = Path(__file__).parents[2]


def test_no_row_was_lost() -> None:
    rows = load()
    assert len(rows) == 519
    assert Counter(row.level for row in rows) == {
        Level.MUST: 263,
        Level.IMPLIED: 179,
        Level.SHOULD: 46,
        Level.MAY: 31,
    }


def test_rows_are_found_by_their_id() -> None:
    assert by_id("H3-7.2.4-01").source == "RFC 9114 §7.2.4"
    with pytest.raises(KeyError):
        by_id("WT-0-00")


def test_every_ambiguity_is_named_by_a_row_or_explains_another() -> None:
    known = catalogue().ambiguities
    assert [f"AMB-{number:02}" for number in range(1, 40)] == list(known)
    assert {name for row in load() for name in row.ambiguities} <= set(known)


def test_every_note_that_names_an_ambiguity_lists_it() -> None:
    for row in load():
        assert all(name in row.ambiguities for name in catalogue().ambiguities if name in row.note), (
            row.identifier
        )


def test_intermediaries_are_out_of_reach() -> None:
    assert all(row.status is Status.OUT_OF_REACH for row in load() if row.role is Role.INTERMEDIARY)


def test_may_rows_are_not_limited_twice() -> None:
    assert not [row.identifier for row in load() if row.level is Level.MAY and row.limit is Limit.NON_STRICT]


def test_a_row_with_a_case_has_verified_drafts_and_shares_one_with_it() -> None:
    for item in load_cases():
        for row in map(by_id, item.requirements):
            assert row.drafts_verified, f"{item.identifier}: the drafts of {row.identifier} are not verified"
            assert set(item.drafts) & set(row.drafts), (
                f"{item.identifier}: {row.identifier} holds in none of its drafts"
            )


def test_the_page_is_current() -> None:
    assert main(["--check", str(ROOT / "docs" / "coverage.md")]) == 0


def test_the_page_has_one_line_for_each_row(tmp_path: Path) -> None:
    page = render(coverage(load_cases()))
    assert sum(
        line.startswith(f"| {row.identifier}: ") for row in load() for line in page.splitlines()
    ) == len(load())
    stale = tmp_path / "coverage.md"
    assert main(["--check", str(stale)]) == 1
    assert main([str(stale)]) == 0
    assert main(["--check", str(stale)]) == 0
