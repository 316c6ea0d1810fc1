"""Targets that stop serving: who waits, for how long, and who is suspected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.harness.case import Case, load_cases
from conformance.harness.gate import Gate
from conformance.harness.inmemory import memory_target
from conformance.harness.presence import GRACE, Presence
from conformance.harness.probe import probe
from conformance.harness.runner import Player
from conformance.harness.sanity import Sanity
from conformance.peer.drafts import Draft
from conformance.peer.model import ModelServer
from reports.judgement import ErrorRecord
from reports.verdict import Verdict


class Clock:
    """A clock that only moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.now += seconds


def presence(folder: Path, clock: Clock) -> Presence:
    return Presence(folder, clock=clock, pause=clock.pause)


def test_a_target_that_serves_is_not_waited_for(tmp_path: Path) -> None:
    clock = Clock()
    assert presence(tmp_path, clock).wait(Draft.D16, lambda draft: None) is None
    assert clock.now == 0


def test_a_target_that_comes_back_within_the_grace(tmp_path: Path) -> None:
    clock = Clock()
    watched = presence(tmp_path, clock)
    answers: Iterator[str | None] = iter(["no connection", "no connection", None])
    assert watched.wait(Draft.D16, lambda draft: next(answers)) is None
    assert 0 < clock.now < GRACE
    assert watched.gone(Draft.D16) is None
    assert watched.notes() == []


def test_a_target_that_stays_away_is_given_up_once_for_all(tmp_path: Path) -> None:
    clock = Clock()
    watched, other_worker = presence(tmp_path, clock), presence(tmp_path, clock)
    with watched.flight("area.suspect"):
        text = watched.wait(Draft.D16, lambda draft: "no connection: refused")
    assert text is not None
    assert "did not come back: no connection: refused" in text
    assert "area.suspect" in text
    waited = clock.now
    assert waited >= GRACE
    # Others hear of it without an attempt of their own; another draft is another matter.
    assert other_worker.wait(Draft.D16, pytest.fail) == text
    assert clock.now == waited
    assert other_worker.gone(Draft.D07) is None
    assert other_worker.notes() == [text]


def test_a_cleared_case_is_no_suspect(tmp_path: Path) -> None:
    clock = Clock()
    watched = presence(tmp_path, clock)
    with watched.flight("area.innocent"):
        watched.clear()
        text = watched.wait(Draft.D16, lambda draft: "no connection")
    assert text is not None
    assert "area.innocent" not in text


@pytest.fixture
def case() -> Case:
    return next(item for item in load_cases() if item.identifier == "streams-uni.echo")


def test_cases_behind_the_end_of_the_target_are_not_played(case: Case, tmp_path: Path) -> None:
    sound = memory_target("model", ModelServer)
    player = Player(
        sound.with_capabilities(probe(sound)),
        gate=Gate(tmp_path / "gate"),
        presence=presence(tmp_path / "presence", Clock()),
    )
    assert player.play(case, Draft.D16).judgement.verdict is Verdict.PASS
    assert player.presence is not None
    player.presence.wait(Draft.D16, lambda draft: "it was switched off")
    outcome = player.play(case, Draft.D16)
    assert outcome.judgement.verdict is Verdict.INCONCLUSIVE
    assert "it was switched off" in outcome.judgement.reason
    assert outcome.connections == []


def test_a_case_in_flight_is_inconclusive_and_named(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = memory_target("model", ModelServer)
    player = Player(sound.with_capabilities(probe(sound)), presence=presence(tmp_path / "presence", Clock()))

    def dies_in_the_middle(run: object) -> None:
        case.function(run)  # type: ignore[arg-type]
        monkeypatch.setattr(Sanity, "exchange", lambda sanity, draft: "no connection: refused")

    harmful = Case("area.harmful", case.requirements, dies_in_the_middle, disruptive=True)
    outcome = player.play(harmful, Draft.D16)
    assert outcome.judgement.verdict is Verdict.INCONCLUSIVE
    assert "in flight when it stopped: area.harmful" in outcome.judgement.reason
    assert isinstance(outcome.records[0], ErrorRecord)
