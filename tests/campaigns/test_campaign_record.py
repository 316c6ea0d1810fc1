"""The recorder of campaigns: what it runs, what it keeps, and what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.campaigns import record
from scenarios.campaigns.record import Part, Result, Scaled

ROOT = Path(__file__).resolve().parents[2]
VALUES: dict[str, str | Scaled] = {"scaled": Scaled(0.1), "seed": "7", "out": "out"}


def script(text: str, keep: str = ".*figure.*", peer: str | None = None) -> Part:
    return Part(name="a part", command=("-c", text), keep=keep, peer=peer)


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

    monkeypatch.setattr(record, "PEERS", {"other": Missing()})
    result = record.run(script("", peer="other"), VALUES, lambda line: None)
    assert result.code is None and result.passed
    assert "is not built" in result.row() and "| skipped |" in result.row()


def test_runs_are_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Campaigns\n", encoding="utf-8")
    parts = (script("print('figure 1')"), script("raise SystemExit(3)"))
    monkeypatch.setattr(record, "PARTS", parts)
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
    assert len({part.name for part in record.PARTS}) == len(record.PARTS)
    for part in record.PARTS:
        words = [word.format(**VALUES, url="https://[::1]:4433/echo") for word in part.command]
        assert words[0] == "-m" or (ROOT / words[0]).is_file()
        assert not any("{" in word for word in words)
