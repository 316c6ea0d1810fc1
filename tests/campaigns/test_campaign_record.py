"""The recorder of campaigns: what it runs, what it keeps, and what it writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scenarios.campaigns import parts, record
from scenarios.campaigns.following import INTERRUPTED, TIMED_OUT
from scenarios.campaigns.parts import PARTS, Need, Part, Scaled
from scenarios.campaigns.record import Result

ROOT = Path(__file__).resolve().parents[2]
VALUES: dict[str, str | Scaled] = {"scaled": Scaled(0.1), "seed": "7", "out": "out"}


def script(
    text: str, keep: str = ".*figure.*", peer: str | None = None, needs: tuple[Need, ...] = ()
) -> Part:
    return Part(name="a part", command=("-c", text), keep=keep, peer=peer, needs=needs, seconds=10.0)


def test_interesting_lines_are_kept_and_all_are_shown() -> None:
    shown: list[str] = []
    part = script("print('noise'); print('a  figure | {seed}'); raise SystemExit(1)")
    result = record.run(part, VALUES, shown.append)
    assert result.code == 1 and not result.passed
    assert shown[1:] == ["noise", "a  figure | 7"]
    assert result.row().startswith("| a part | **failed** | ")
    assert result.row().endswith(r" s | a figure \| 7 |")


def test_findings_in_a_server_of_others_are_no_failure() -> None:
    foreign = script("", peer="webtransport-go")
    assert Result(foreign, 1, 1.0, "").passed
    assert "| findings |" in Result(foreign, 1, 1.0, "").row()
    assert not Result(foreign, 2, 1.0, "").passed
    assert not Result(script(""), 1, 1.0, "").passed


def test_what_is_not_built_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        executable = Path("nowhere")
        toolchain: str | None = None

        def missing_toolchain(self) -> str | None:
            return self.toolchain

    other = Missing()
    monkeypatch.setattr(parts, "PEERS", {"other": other})
    shown: list[str] = []
    result = record.run(script("", peer="other"), VALUES, shown.append)
    assert result.code is None and result.passed
    assert "| skipped |" in result.row()
    assert "other is not built: python -m scenarios.peers build other" in result.row()
    assert shown == ["== a part: skipped. other is not built: python -m scenarios.peers build other"]
    other.toolchain = "Missing toolchain: go 1.26 or newer"
    assert other.toolchain in record.run(script("", peer="other"), VALUES, shown.append).row()


def test_what_lacks_a_toolchain_is_skipped() -> None:
    result = record.run(script("", needs=(lambda: None, lambda: "no cc: make it")), VALUES, lambda line: None)
    assert (result.code, result.figures) == (None, "no cc: make it")


def test_each_toolchain_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "rustup" in (parts.cargo() or "")
    assert "rustup" in (parts.cargo_fuzz() or "")
    for name in ("cargo-fuzz", "cargo"):
        (tmp_path / name).write_text("#!/bin/sh\necho cargo 1.99.0\n")
        (tmp_path / name).chmod(0o755)
        assert parts.cargo_fuzz() is not None
    assert "g++" in (parts.cargo_fuzz() or "")
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: None)
    assert "make setup" in (parts.reference_built() or "")


def test_without_figures_the_last_line_tells_why() -> None:
    result = record.run(script("raise SystemExit('it  broke')"), VALUES, lambda line: None)
    assert result.row().startswith("| a part | **failed** |") and result.figures == "it broke"


def test_what_does_not_end_is_ended() -> None:
    text = "import signal; print('figure 1', flush=True); signal.pause()"
    result = record.run(script(text), VALUES, lambda line: None, limit=1.0)
    assert (result.code, result.figures) == (TIMED_OUT, "figure 1") and not result.passed


def test_the_estimate_is_that_of_what_will_run() -> None:
    shown: list[str] = []
    record.announce([script(""), script("", needs=(lambda: "no cc",))], 12.0, shown.append)
    assert shown[0] == "2 parts, 12 of each, about 2 min on two idle cores:"
    assert [line.split(maxsplit=2)[2] for line in shown[1:]] == ["123 s", "skipped. no cc"]
    # What the table promises for a look that is not too long
    assert 12 * 60 <= sum(part.estimate(0.1) for part in PARTS) <= 15 * 60


PAUSED = """
import signal, sys
try:
    print("figure 1", flush=True)
    signal.pause()
except KeyboardInterrupt:
    print("figure 2")
    sys.exit(5)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_keeps_what_was_done(number: signal.Signals, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    program = f"""
from scenarios.campaigns import record
from scenarios.campaigns.parts import Part
texts = ("print('figure 0')", {PAUSED!r}, "print('never')")
record.PARTS = [Part(name=str(n), command=("-c", t), keep="figure.*", seconds=1) for n, t in enumerate(texts)]
raise SystemExit(record.main(["--page", {str(page)!r}, "--seed", "1"]))
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.rstrip() == "figure 1":
                os.kill(process.pid, number)
        assert process.wait() == INTERRUPTED
    rows = [line.split(" | ") for line in page.read_text(encoding="utf-8").splitlines()[-2:]]
    assert [row[1] for row in rows] == ["passed", "**interrupted**"]
    assert rows[1][3] == "figure 1; figure 2 |"


def test_runs_are_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Campaigns\n", encoding="utf-8")
    table = (script("print('figure 1')"), script("raise SystemExit(3)"))
    monkeypatch.setattr(record, "PARTS", table)
    arguments = ["--page", str(page), "--seed", "7"]
    assert record.main(arguments) == 1
    assert record.main([*arguments, "--only", "nothing"]) == 0
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Campaigns"
    titles = [line for line in lines if line.startswith("### ")]
    assert len(titles) == 2 and all(line.endswith("seed 7") for line in titles)
    assert [line.split(" | ")[1] for line in lines if line.startswith("| a part")] == ["passed", "**failed**"]


def test_measures_are_scaled() -> None:
    assert f"{Scaled(0.1):600} {Scaled(0.1):180000+20000} {Scaled(0.001):15}" == "60 38000 1"
    part = script("print('figure {scaled:600}')")
    assert record.run(part, VALUES, lambda line: None).figures == "figure 60"
    assert record.heading(7).splitlines()[0].endswith("seed 7")
    assert record.heading(7, 0.1).splitlines()[0].endswith("seed 7, 0.1 of each part")


def test_every_part_can_be_filled_in() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)
    for part in PARTS:
        words = [word.format(**VALUES, url="https://[::1]:4433/echo") for word in part.command]
        assert words[0] == "-m" or (ROOT / words[0]).is_file()
        assert not any("{" in word for word in words)
