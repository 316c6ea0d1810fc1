"""The commands beside ``run``: what they print and how they exit."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from conformance.harness.embedded import Embedded
from conformance.peer.model import ModelServer
from tests.cli.command import ONE_CASE, ROOT, environment, judge, wtconform
from tests.cli.hostile import served
from tests.cli.test_cli_run import deviant

# Both break this case, each in its own way.
DRIFTING_CASE, FAULT, OTHER_FAULT = (
    "negotiation.settings-unprompted",
    "settings.not-first",
    "settings.on-demand",
)


@contextlib.contextmanager
def deviant_command(identifier: str) -> Iterator[str]:
    """Serve a deviant by the public command; the URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "conformance.cli", "deviants", "--serve", identifier, "--port", "0"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.communicate()


def test_list(tmp_path: Path) -> None:
    done = wtconform(tmp_path, "list", "--format", "json")
    assert done.code == 0
    value = json.loads(done.out)
    cases = {case["id"]: case for case in value["cases"]}
    assert len(cases) >= 80
    assert {"id", "role", "requirements", "drafts"} <= cases[ONE_CASE].keys()
    rows = {row["id"]: row for row in value["requirements"]}
    assert len(rows) >= 519
    for row in rows.values():
        assert {"id", "level", "role", "status", "cases"} <= row.keys()
        assert row["status"] in ("covered", "planned", "out_of_reach")
        assert set(row["cases"]) <= cases.keys()
    assert all(requirement in rows for case in cases.values() for requirement in case["requirements"])


def test_explain(tmp_path: Path) -> None:
    case = wtconform(tmp_path, "explain", ONE_CASE)
    assert case.code == 0
    requirement = re.findall(r"^  ([A-Z0-9]+-\S+)  ", case.out, re.MULTILINE)[0]
    row = wtconform(tmp_path, "explain", requirement)
    assert row.code == 0
    assert ONE_CASE in row.out


def test_shards_merge_to_the_whole(model: Embedded, tmp_path: Path) -> None:
    seen: list[str] = []
    for part in ("1", "2"):
        folder = tmp_path / part
        folder.mkdir()
        done = judge(
            folder, model.url, "--insecure", "--evidence", "full", "--shard", f"{part}/2", select="pooling"
        )
        assert done.code == 0, done.text
        assert done.results["meta"]["shard"] == f"{part}/2"
        seen += [case["id"] for case in done.results["cases"]]
    assert len(seen) == len(set(seen)) >= 5
    merged = wtconform(tmp_path, "report", "1/out", "2/out", "--out", "out")
    assert merged.code == 0, merged.text
    assert merged.complete()
    assert sorted(case["id"] for case in merged.results["cases"]) == sorted(seen)
    traces = {path.name for path in (tmp_path / "out" / "evidence").glob("*.sqlog")}
    assert len(traces) >= len(seen)
    again = wtconform(tmp_path, "report", "--rejudge", "out", "--format", "json")
    assert again.code == 0
    assert json.loads(again.out)["summary"] == merged.results["summary"]


def test_replay_and_diff(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    with deviant_command(FAULT) as url:
        failed = judge(old, url, "--insecure", select=DRIFTING_CASE)
        assert failed.code == 1, failed.text
        (case,) = failed.results["cases"]
        shutil.copy(old / "out" / case["evidence"].replace(".json", ".replay.json"), tmp_path / "replay.json")
        # The replay file names the target itself, and that its certificate is not checked.
        same = wtconform(tmp_path, "replay", "replay.json")
        assert same.code == 1, same.text
        assert same.out.startswith("REPRODUCED")
    with served(deviant(OTHER_FAULT)) as port:
        other = wtconform(tmp_path, "replay", "replay.json", f"https://127.0.0.1:{port}/echo", "--insecure")
    assert other.code == 3, other.text
    assert other.out.startswith("DRIFTED")
    with served(ModelServer()) as port:
        url = f"https://127.0.0.1:{port}/echo"
        fixed = wtconform(tmp_path, "replay", "replay.json", url, "--insecure")
        passed = judge(new, url, "--insecure", select=DRIFTING_CASE)
    assert fixed.code == 0, fixed.text
    assert fixed.out.startswith("FIXED")
    assert passed.code == 0
    gone = wtconform(tmp_path, "replay", "replay.json", url, "--insecure")
    assert gone.code == 3
    assert "nothing listens on that port" in gone.out
    better = wtconform(tmp_path, "diff", "old/out", "new/out")
    worse = wtconform(tmp_path, "diff", "new/out", "old/out")
    assert (better.code, worse.code) == (0, 1)
    assert DRIFTING_CASE in worse.out
