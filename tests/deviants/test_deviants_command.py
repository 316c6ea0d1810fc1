"""``wtconform deviants``: exit codes, forms, and deviants as servers over UDP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.progress import Progress

from conformance.cli import main
from conformance.deviants import all_deviants
from conformance.harness.case import load_cases
from conformance.harness.probe import probe
from conformance.harness.runner import Player
from conformance.harness.target import Target
from conformance.peer.client import Peer
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import ModelServer
from conformance.peer.openers import UdpOpener
from conformance.peer.quic.udp import UdpLink
from reports.schemas import validate

CASES = {case.identifier: case for case in load_cases(("conformance.cases",))}
DEVIANTS = {item.id: item for item in all_deviants()}


@contextmanager
def served(identifier: str) -> Iterator[Target]:
    """Serve a deviant over UDP in a thread."""
    server = ModelServer(DEVIANTS[identifier].behaviour(DRAFTS))
    link = UdpLink.server(server, ("127.0.0.1", 0))
    stop = threading.Event()
    thread = threading.Thread(target=link.serve, args=(stop,))
    thread.start()
    try:
        url = f"https://127.0.0.1:{link.address[1]}/echo"
        yield Target(name=identifier, opener=UdpOpener(url=url, quic={"insecure": True}))
    finally:
        stop.set()
        thread.join()
        link.close()


@pytest.mark.parametrize(
    ("identifier", "case", "verdict"),
    [
        ("skip.uni-session-id", "streams-uni.session-id-maximum", "fail"),
        ("code.uni-session-id", "streams-uni.session-id-maximum", "non_strict"),
        ("forbid.capsule-unknown", "capsules.unknown-type.short", "fail"),
        ("streams.bidi-as-text", "streams-bidi.echo", "fail"),
    ],
)
def test_a_deviant_is_killed_over_udp_as_well(identifier: str, case: str, verdict: str) -> None:
    with served(identifier) as target:
        player = Player(target.with_capabilities(probe(target)), second_runs=False)
        outcome = player.play(CASES[case], Draft.D16)
    assert outcome.judgement.verdict.value == verdict, outcome.judgement.reason


def test_the_command_serves_a_deviant() -> None:
    command = [sys.executable, "-m", "conformance.cli", "deviants", "--serve", "codes.raw"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on https://127.0.0.1:")
            opener = UdpOpener(url=line.split()[2] + "echo", quic={"insecure": True})
            with Peer.connect(opener, draft=Draft.D16) as peer:
                assert peer.establish().established
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_sound_selection(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deviants", "--select", "code.uni-session-id", "--sample", "0"]) == 0
    output = capsys.readouterr().out
    assert "1 deviants" in output and "survivors: 0" in output


def test_a_deviant_outside_of_the_draft_is_not_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deviants", "--select", "response.draft-unnamed", "--draft", "16"]) == 2
    assert "no deviant" in capsys.readouterr().err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["deviants", "--select", "skip.uni-session-id", "--sample", "0", "--format", "json"]
    assert main(arguments) == 0
    value = json.loads(capsys.readouterr().out)
    validate("deviants", value)
    assert value["survivors"] == [] and value["complete"] is False


def test_unknown_deviants_are_errors_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deviants", "--serve", "no-such-deviant"]) == 2
    assert main(["deviants", "--select", "no-such-deviant"]) == 2
    assert main(["deviants", "--sample", "2"]) == 2
    assert "no-such-deviant" in capsys.readouterr().err


def test_any_number_of_processes_shows_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["deviants", "--select", "app.close-", "--draft", "16", "--format", "json"]
    shown = []
    for workers in ("1", "2"):
        assert main([*arguments, "-n", workers]) == 0
        shown.append(json.loads(capsys.readouterr().out))
    assert shown[0] == shown[1] and shown[0]["played"] > 0


def test_what_was_played_before_ctrl_c_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Progress):
        def update(self, *_given: Any, **_named: Any) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("conformance.cli.deviants.Progress", Interrupted)
    arguments = ["deviants", "--select", "app.close-", "--draft", "16", "--sample", "0", "--format", "json"]
    assert main([*arguments, "-n", "1"]) == 130
    shown = capsys.readouterr()
    value = json.loads(shown.out)
    assert len(value["deviants"]) == 1 and value["complete"] is False
    assert "interrupted after 1 of 2 deviants" in shown.err
