"""Which peers are chosen, what is said meanwhile, and what becomes of runs that give nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest


def names(*wanted: str) -> list[str]:
    return [peer.name for peer in importlib.import_module("implementations").select(wanted)]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (("aioquic",), ["aioquic 1.7.2"]),
        (("reference",), ["reference"]),
        (("reference c",), ["reference core"]),
        (("quinn", "aioquic 1.7.2"), ["aioquic 1.7.2", "quinn 0.11.12 (no HTTP/3)"]),
        (("pywebtransport",), ["pywebtransport 0.21.1", "pywebtransport 0.19.1"]),
    ],
)
def test_a_name_or_its_beginning_selects(wanted: tuple[str, ...], chosen: list[str]) -> None:
    assert names(*wanted) == chosen


def test_without_a_name_all_peers_are_chosen() -> None:
    assert names() == [peer.name for peer in importlib.import_module("implementations").PEERS]


@pytest.mark.parametrize("name", ["nobody", ""])
def test_an_unknown_peer_is_an_error_of_usage(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--peer", "reference", "--peer", name])
    with pytest.raises(SystemExit) as error:
        importlib.import_module("run").main()
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert repr(name) in message and "aioquic 1.7.2" in message


def made(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> None:
    """A run whose peers need no preparation, and no certificate."""
    peer = importlib.import_module("implementations").Peer
    first, last = (
        peer("first", lambda: ["first"]),
        peer("last", lambda: ["last"], cannot={"memory": "no server"}),
    )
    for module in (run, importlib.import_module("implementations")):
        monkeypatch.setattr(module, "PEERS", [first, last])
    monkeypatch.setattr(run, "SUBJECTS", ("first", "last"))
    monkeypatch.setattr(run, "certificate", lambda folder: (folder, folder))
    monkeypatch.setattr(sys, "argv", ["run.py", "--out", str(tmp_path), *arguments])


def test_what_cannot_be_measured_is_shown_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = importlib.import_module("run")
    made(run, monkeypatch, tmp_path, "--rounds", "2", "--workload", "latency", "--workload", "memory")

    def measure(peer: Any, command: list[str], workload: Any, cert: Path, key: Path) -> dict[str, float]:
        if (peer.name, workload.name) == ("last", "latency"):
            raise run.Unavailable("no answer")
        return {workload.name: 3e3}

    monkeypatch.setattr(run, "measure", measure)
    assert run.main() == 0
    table = (tmp_path / "benchmarks.md").read_text()
    assert "- last, memory: no server" in table
    assert "- last, latency: no answer (2 times)" in table
    messages = capsys.readouterr().err
    assert "2 rounds of 3 runs" in messages
    assert "[6/6] memory of an idle session, server (kB), first: 3.00  (about 0 s left)" in messages
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--peer", "last"])
    assert run.main() == 1, "asked for by name"


def test_results_survive_an_interruption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = importlib.import_module("run")
    made(run, monkeypatch, tmp_path, "--workload", "latency")
    runs = []

    def measure(peer: Any, command: list[str], workload: Any, cert: Path, key: Path) -> dict[str, float]:
        runs.append(peer.name)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return {workload.name: 3.0}

    monkeypatch.setattr(run, "measure", measure)
    assert run.main() == run.INTERRUPTED
    assert "| 3.00 |" in (tmp_path / "benchmarks.md").read_text()
