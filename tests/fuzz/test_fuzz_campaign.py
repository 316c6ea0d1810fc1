"""Campaigns, shrinking, findings on disk and their replay, over the network in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.harness.target import Target
from conformance.peer.drafts import Draft
from fuzz import operations as op
from fuzz.campaign import Campaign
from fuzz.findings import REPLAY_FILE, Finding, Known
from fuzz.replay import DRIFTED, FIXED, REPRODUCED, compare, report
from fuzz.shrink import minimise
from fuzz.violations import Violation, signature
from reports.files import RunError
from reports.schemas import validate

VIOLATION = Violation("model", "WT-4-06", "silence", "nothing happened")
BAD_ID = op.OpenStream(0, bidi=False, session_offset=1)


class Steps:
    """A clock that moves on at each look, so that a campaign ends after the same work everywhere."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        self.now += 0.001
        return self.now


def campaign(target: Target, seconds: float, out: Path | None = None, **options: object) -> Campaign:
    return Campaign(
        target, Draft.D16, seed=3, max_time=seconds, out=out, clock=Steps(), **options  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_fault_free_server_gives_no_finding(model: Target) -> None:
    run = campaign(model, 1.0)
    assert run.run() == []
    assert run.statistics.sessions > 10
    assert not run.statistics.unconfirmed


def test_the_seed_decides(model: Target) -> None:
    first, second = campaign(model, 0.4), campaign(model, 0.4)
    first.run()
    second.run()
    assert first.executor.script == second.executor.script
    assert first.statistics.operations == second.statistics.operations


def test_a_fault_is_found_shrunk_saved_and_replayed(
    deviant: Callable[[str], Target], model: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = deviant("skip.uni-session-id")
    run = campaign(target, 60.0, tmp_path, max_findings=1, machines=("sessions",))
    (finding,) = run.run()
    assert finding.violation.rule == "WT-4-06"
    assert op.counted(finding.script) == 1
    folder = tmp_path / "findings" / finding.signature
    value = json.loads((folder / REPLAY_FILE).read_text())
    validate("replay", value)
    assert compare(value, target)[0] == REPRODUCED
    assert compare(value, model)[0] == FIXED
    assert report(value, target) == 1
    assert report(value, model) == 0
    assert "REPRODUCED" in capsys.readouterr().out
    log = [json.loads(line) for line in (folder / "wire.ndjson").read_text().splitlines()]
    assert any(event["name"] == "QuicFrame" for event in log)
    again = Known()
    assert again.load(tmp_path) == 1
    assert (finding.violation, finding.script) in again


def test_another_violation_is_drift(deviant: Callable[[str], Target]) -> None:
    value = Finding(VIOLATION, (op.Connect(), op.Establish(), op.Close(0, b"\xff")), Draft.D16).as_replay()
    result, text = compare(value, deviant("skip.close-message-not-utf8"))
    assert result == DRIFTED
    assert text.startswith("step 3 (close)")


def test_steps_that_are_none(model: Target) -> None:
    value = Finding(VIOLATION, (op.Connect(),), Draft.D16).as_replay()
    value["steps"] = [{"operation": "explode"}]
    with pytest.raises(RunError):
        compare(value, model)


def test_a_script_shrinks_to_its_cause() -> None:
    noise = [op.OpenStream(number, data=b"noise") for number in range(1, 30)]
    script = (
        op.Connect(),
        op.Establish(),
        *noise[:17],
        op.OpenStream(0, data=b"cause", pieces=3),
        *noise[17:],
    )
    tried = 0

    def check(candidate: op.Script) -> bool:
        nonlocal tried
        tried += 1
        return any(isinstance(item, op.OpenStream) and item.stream == 0 for item in candidate)

    shrunk = minimise(script, check)
    assert shrunk == (op.Connect(), op.Establish(), op.OpenStream(0))
    assert tried < 120


def test_shrinking_stops_when_told() -> None:
    script = (op.Connect(), *(op.Datagram(b"x") for _ in range(10)))
    assert minimise(script, lambda _: True, stop=lambda: True) == script


def test_signatures_tell_findings_apart() -> None:
    same = signature(VIOLATION, (op.Connect(), BAD_ID))
    assert same == signature(VIOLATION, (BAD_ID, op.Fence(), BAD_ID))
    assert same != signature(VIOLATION, (BAD_ID, op.Drain()))
    assert same.startswith("model-WT-4-06-")


def test_effects_are_known_by_their_causes() -> None:
    known = Known()
    lives = Violation("model", "connection-lives", "connection_closed 0x102", "")
    known.add(lives, (op.Drain(),))
    assert (lives, (BAD_ID, op.Drain())) in known
    assert (lives, (BAD_ID,)) not in known
    known.add(VIOLATION, (BAD_ID,))
    assert (VIOLATION, (op.Drain(),)) in known


def test_the_script_of_a_finding_runs(tmp_path: Path) -> None:
    path = tmp_path / "finding.py"
    path.write_text(Finding(VIOLATION, (op.Connect((1, 2, 3)), BAD_ID), Draft.D16, seed=1).as_script())
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(path), "--help"],
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    assert "WT-4-06" in done.stdout
