"""The run directory: written, read, recovered, merged, judged again."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from reports.files import RunError, below, stem, write_atomic
from reports.rejudge import rejudge
from reports.schemas import problems, validate
from reports.store import RunWriter, load_run, merge
from reports.verdict import Verdict


def lines_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "events.ndjson").read_text().splitlines()]


def test_a_run_leaves_all_files_and_each_is_valid(write_run: Any, samples: Any) -> None:
    directory = write_run()
    names = {path.name for path in directory.iterdir()}
    assert names == {"index.html", "results.json", "junit.xml", "events.ndjson", "evidence"}
    results = json.loads((directory / "results.json").read_text())
    validate("results", results)
    assert results["summary"] == {**{verdict.value: 1 for verdict in Verdict}, "fail": 2}
    for case in results["cases"]:
        validate("evidence", json.loads((directory / case["evidence"]).read_text()))
        replay = (directory / case["evidence"]).with_suffix(".replay.json")
        validate("replay", json.loads(replay.read_text()))
    lines = lines_of(directory)
    assert not [found for line in lines for found in problems("event", line)]
    assert [line["type"] for line in lines].count("case") == len(samples)


def test_read_again(write_run: Any, samples: Any) -> None:
    run = load_run(write_run())
    kept = {item.case["id"]: item.evidence for item in samples}
    for case in run.results["cases"]:
        evidence = run.evidence(case)
        assert evidence == json.loads(json.dumps(kept[case["id"]]))


def test_an_interrupted_run_keeps_what_it_has(tmp_path: Path, samples: Any) -> None:
    meta = {"suite_version": "1", "target": "t", "draft": "16", "time": "2026-11-22T17:00:00+00:00"}
    writer = RunWriter(tmp_path, meta)
    for item in samples[:2]:
        writer.add(item.case, item.evidence)
    # Nothing was finished; the last line is cut off in the middle.
    writer.close()
    with (tmp_path / "events.ndjson").open("a") as file:
        file.write('{"type":"case","case":{"id"')
    run = load_run(tmp_path)
    assert [case["id"] for case in run.results["cases"]] == sorted(item.case["id"] for item in samples[:2])
    assert run.results["meta"]["interrupted"] is True
    assert run.evidence(run.results["cases"][0]) is not None


def test_an_earlier_run_is_cleared_and_foreign_files_stay(write_run: Any, samples: Any) -> None:
    directory = write_run()
    (directory / "evidence" / "notes.txt").write_text("mine")
    assert write_run(chosen=samples[:1]) == directory
    assert {path.name for path in (directory / "evidence").iterdir()} == {
        "notes.txt",
        "capsules.case-pass.draft-16.json",
        "capsules.case-pass.draft-16.replay.json",
    }


def test_a_case_given_twice_replaces_the_first(tmp_path: Path, samples: Any) -> None:
    writer = RunWriter(
        tmp_path, {"suite_version": "1", "target": "t", "draft": "16", "time": "2026-11-22T17:00:00Z"}
    )
    again: Any = {**samples[0].case, "verdict": "fail"}
    writer.add(samples[0].case, samples[0].evidence)
    writer.add(again, samples[0].evidence)
    assert [case["verdict"] for case in writer.finish()["cases"]] == ["fail"]


def test_known_failures_are_marked(tmp_path: Path, samples: Any) -> None:
    meta = {"suite_version": "1", "target": "t", "draft": "16", "time": "2026-11-22T17:00:00Z"}
    writer = RunWriter(tmp_path, meta)
    for item in samples[:2]:
        writer.add(item.case, item.evidence)
    results = writer.finish(known={(samples[1].case["id"], "16"): "reported"}, strict=True)
    assert [case.get("known") for case in results["cases"]] == [None, "reported"]
    assert results["meta"]["strict"] is True
    assert ">known<" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_shards_are_merged_and_the_worse_verdict_counts(write_run: Any, samples: Any, tmp_path: Path) -> None:
    worse = copy.deepcopy(samples[0])
    worse.case["verdict"] = "fail"
    first = load_run(write_run("a", samples[:3], notes=["one"]))
    second = load_run(write_run("b", [worse, *samples[3:]], interrupted=True))
    merged = merge([first, second], tmp_path / "merged")
    assert len(merged["cases"]) == len(samples)
    by_id = {case["id"]: case["verdict"] for case in merged["cases"]}
    assert by_id[samples[0].case["id"]] == "fail"
    assert merged["meta"]["notes"][0] == "one"
    assert "in one shard" in merged["meta"]["notes"][1]
    assert merged["meta"]["interrupted"] is True
    run = load_run(tmp_path / "merged")
    assert all(run.evidence(case) for case in run.results["cases"])


def test_merge_into_one_of_the_shards(write_run: Any, samples: Any) -> None:
    first, second = write_run("a", samples[:3]), write_run("b", samples[3:])
    merged = merge([load_run(first), load_run(second)], first)
    assert len(merged["cases"]) == len(samples)
    with pytest.raises(RunError):
        merge([], first)


def test_rejudging_the_same_records_changes_nothing(write_run: Any) -> None:
    directory = write_run()
    before = (directory / "results.json").read_text()
    assert rejudge(directory) == []
    assert (directory / "results.json").read_text() == before


def test_rejudging_says_what_changed(write_run: Any) -> None:
    directory = write_run()
    path = directory / "evidence" / "capsules.case-fail.draft-16.json"
    path = path if path.exists() else next((directory / "evidence").glob("*case-fail.draft-16.json"))
    evidence = json.loads(path.read_text())
    expect = next(record for record in evidence["records"] if record["record"] == "expect")
    expect["events"] = [{"kind": "connection_closed", "application": True, "code": 0x101, "by": "peer"}]
    path.write_text(json.dumps(evidence))
    (change,) = rejudge(directory, write=False)
    assert (change.old, change.new) == ("fail", "non_strict")
    assert load_run(directory).results["summary"]["fail"] == 2
    rejudge(directory)
    assert load_run(directory).results["summary"]["fail"] == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("{}", "not a valid results"),
        ("[" * 100_000, "not JSON"),
        ('"\\ud800"', "not a valid"),
    ],
)
def test_broken_results_are_one_line(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(RunError, match=word) as caught:
        load_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        load_run(tmp_path / "nothing")
    (tmp_path / "events.ndjson").write_text('{"type":"case","case":3}\n')
    with pytest.raises(RunError, match="not a run directory"):
        load_run(tmp_path)


def test_broken_evidence_is_one_line(write_run: Any) -> None:
    directory = write_run()
    run = load_run(directory)
    case = run.results["cases"][0]
    path = directory / str(case["evidence"])
    for text in ("[]", '{"format":"wtconform-evidence"}', "{"):
        path.write_text(text)
        with pytest.raises(RunError):
            run.evidence(case)


def test_a_path_does_not_leave_the_run_directory(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="leads out"):
        below(tmp_path, "../secret")
    with pytest.raises(RunError, match="leads out"):
        below(tmp_path, "/etc/passwd")


def test_names_of_files_are_safe_and_unique() -> None:
    assert stem("a.b.1", "16", "server") == "a.b.1.draft-16"
    assert stem("a.b", "16", "client") == "a.b.draft-16.client"
    odd = [stem(text, "16", "server") for text in ("../x", "a/b", "a\\b", "a" * 500, "a" * 501, "é\ud800")]
    assert len(set(odd)) == len(odd)
    assert all("/" not in name and len(name) < 200 and not name.startswith(".") for name in odd)


def test_atomic_writing_leaves_no_part(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomic(target, "é\ud800")
    assert target.read_text(encoding="utf-8") == "é?"
    blocked = tmp_path / "directory"
    blocked.mkdir()
    with pytest.raises(RunError, match="cannot write"):
        write_atomic(blocked, "x")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "directory"}
    with pytest.raises(RunError, match="cannot write to"):
        RunWriter(target / "below", {})
