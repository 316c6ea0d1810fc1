"""Targets that stop in the middle of a run, and users who do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conformance.harness.embedded import Embedded, default_server
from conformance.harness.process import resident
from tests.cli.command import PATIENCE, Finished, environment

# Enough cases that some are still to come after the first ones; runs that are ended from outside have all.
SELECT = ("--select", "streams-uni,negotiation")
POLL = 0.02


class Running:
    """A run in a process group of its own, with two workers."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        command = [sys.executable, "-P", "-m", "conformance.cli", "run", *arguments]
        self.process = subprocess.Popen(
            [*command, "-n", "2", "--out", "out"],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for_cases(self, count: int) -> None:
        """Wait until so many cases are in events.ndjson, which the run writes as it goes."""
        events = self.folder / "out" / "events.ndjson"
        seen = 0
        while seen < count:
            assert self.process.poll() is None, self.process.communicate()
            lines = events.read_text(encoding="utf-8").splitlines() if events.exists() else []
            time.sleep(POLL)
            seen = sum(line.startswith('{"type":"case"') for line in lines)

    def finish(self) -> Finished:
        """Return what it left."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return Finished(self.process.returncode, out, err, self.folder)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test started."""
    with ExitStack() as stack:
        yield stack


def started(stack: ExitStack, folder: Path, *arguments: str) -> Running:
    running = Running(folder, *arguments)
    stack.callback(running.process.wait)
    stack.callback(lambda: running.process.poll() is None and os.killpg(running.process.pid, signal.SIGKILL))
    return running


def test_target_that_dies(stack: ExitStack, tmp_path: Path) -> None:
    server = stack.enter_context(Embedded("model"))
    running = started(
        stack, tmp_path, server.url, "--ca", str(server.ca_file), "--target-pid", str(server.pid), *SELECT
    )
    running.wait_for_cases(3)
    os.kill(server.pid, signal.SIGKILL)
    done = running.finish()
    assert done.code == 3, done.text
    assert done.complete()
    cases = done.results["cases"]
    lost = [case for case in cases if case["verdict"] == "inconclusive"]
    assert len(cases) - len(lost) >= 3
    assert len(lost) > 10
    assert {case["verdict"] for case in cases} <= {"pass", "informational", "unsupported", "inconclusive"}
    # Everything behind the first cases is given up at once: nobody waits for a deadline again.
    assert sum(case["duration_s"] < 1 for case in lost) > 0.5 * len(lost)
    assert "did not come back" in done.notes
    assert f"the process {server.pid} of the target is gone" in done.notes
    assert done.results["meta"]["process"]["alive"] is False
    assert all("target" in case["reason"] for case in lost)


def test_target_that_comes_back(stack: ExitStack, tmp_path: Path) -> None:
    first = stack.enter_context(Embedded("model"))
    port = first.url.rpartition(":")[2].partition("/")[0]
    running = started(stack, tmp_path, first.url, "--insecure", *SELECT)
    running.wait_for_cases(3)
    os.kill(first.pid, signal.SIGKILL)
    again = stack.enter_context(Embedded("model", extra=("--port", port)))
    assert again.url == first.url
    done = running.finish()
    assert done.code == 0, done.text
    verdicts = {case["verdict"] for case in done.results["cases"]}
    assert verdicts <= {"pass", "informational", "unsupported"}


def children(pid: int) -> list[int]:
    """The processes that a process started: workers, and the server."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := [pid for pid in pids if resident(pid) is not None]:
        assert time.monotonic() < deadline, f"processes are left: {left}"
        time.sleep(POLL)


@pytest.fixture(params=["model", "reference"])
def target(request: pytest.FixtureRequest) -> str:
    """Each server that a run can start for itself."""
    name = str(request.param)
    if name == "reference" and default_server() != name:
        pytest.skip("the reference is not built")
    return name


def test_termination(stack: ExitStack, tmp_path: Path, target: str) -> None:
    running = started(stack, tmp_path, target)
    running.wait_for_cases(3)
    pids = children(running.process.pid)
    assert len(pids) == 3
    running.process.terminate()
    done = running.finish()
    assert done.code == 130, done.text
    assert done.complete()
    assert done.results["meta"]["interrupted"] is True
    assert "Traceback" not in done.text
    wait_until_gone(pids)


def test_nothing_outlives_a_run_that_is_killed(stack: ExitStack, tmp_path: Path, target: str) -> None:
    running = started(stack, tmp_path, target)
    running.wait_for_cases(3)
    pids = children(running.process.pid)
    running.process.kill()
    wait_until_gone(pids)
    running.process.communicate()


def test_interrupt(stack: ExitStack, tmp_path: Path) -> None:
    running = started(stack, tmp_path, "model")
    running.wait_for_cases(3)
    os.killpg(running.process.pid, signal.SIGINT)
    done = running.finish()
    assert done.code == 130, done.text
    assert done.complete()
    assert done.results["meta"]["interrupted"] is True
    assert len(done.results["cases"]) >= 3
    assert "did not run" in done.notes
    assert "Traceback" not in done.text
    evidence = done.folder / "out" / done.results["cases"][0]["evidence"]
    assert json.loads(evidence.read_text(encoding="utf-8"))["records"]
