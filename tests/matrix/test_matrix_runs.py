"""The matrix on the model server, targets that cannot be had, and the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.cli import main
from reports.verdict import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_OK, EXIT_USAGE
from scenarios.matrix import playing
from scenarios.matrix.page import exit_code, render_html, render_markdown
from scenarios.matrix.playing import Played, play
from scenarios.matrix.targets import MatrixTarget
from scenarios.peers import MissingToolchain

NOBODY = "https://127.0.0.1:9/"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = tmp_path / "targets.toml"
    targets.write_text(
        '[[target]]\nname = "model"\nembedded = "model"\ndrafts = ["16", "02"]\n'
        'select = "scenario-baton.relay"\n'
        f'[[target]]\nname = "nobody"\nurl = "{NOBODY}"\n'
    )
    out = tmp_path / "out"
    assert main(["matrix", str(targets), "--out", str(out), "--only", "model"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "model (16): 5 pass" in shown
    assert "model (02): 5 pass" in shown
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'href="model.draft-16/index.html"' in page
    assert (out / "model.draft-16" / "index.html").exists()
    assert "| scenario-baton | ✅ 5/5 | ✅ 5/5 |" in (out / "matrix.md").read_text(encoding="utf-8").replace(
        "\\", ""
    )


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "--only", "none"]) == EXIT_USAGE
    assert "no such target" in capsys.readouterr().err


def test_a_missing_toolchain_is_skipped_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Peer:
        def build(self) -> None:
            raise MissingToolchain("Missing toolchain: go 1.26 or newer, install with apt-get install golang")

    monkeypatch.setattr(playing, "PEERS", {"webtransport-go": Peer()})
    (played,) = play(MatrixTarget(name="go", peer="webtransport-go"), tmp_path)
    assert "install with" in played.skipped
    assert exit_code([played]) == EXIT_INCONCLUSIVE
    assert "skipped: Missing toolchain" in render_html([played], tmp_path)
    assert "skipped: Missing toolchain" in render_markdown([played], tmp_path)


def test_the_reference_is_skipped_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    (played,) = play(MatrixTarget(name="reference", embedded="reference"), tmp_path)
    assert "make setup" in played.skipped


def test_what_a_target_says_is_escaped(tmp_path: Path) -> None:
    played = Played("<b>", "16", tmp_path, problem="<script>alert(1)</script>")
    assert "<script>" not in render_html([played], tmp_path)
    assert "<script>" not in render_markdown([played], tmp_path)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([0, 0], EXIT_OK), ([0, 1, 3], EXIT_FAIL), ([0, 3], EXIT_INCONCLUSIVE), ([], EXIT_INCONCLUSIVE)],
)
def test_exit_codes(codes: list[int], expected: int) -> None:
    assert exit_code([Played("a", "16", Path(), exit_code=code) for code in codes]) == expected
