"""What it is worth that no datagram came back: nothing, as all of them may have been lost."""

from __future__ import annotations

from conformance.deviants.definition import override
from conformance.harness.case import load_cases
from conformance.harness.inmemory import memory_target
from conformance.harness.probe import probe
from conformance.harness.runner import Player
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import Behaviour, ModelServer
from conformance.peer.model.applications import Echo
from reports.verdict import Verdict

CASES = {case.identifier: case for case in load_cases()}


class Deaf(Echo):
    """Takes datagrams and returns none."""

    def datagram(self, payload: bytes) -> None:
        """Do nothing."""


def test_lost_datagrams_are_no_verdict() -> None:
    behaviour = Behaviour(DRAFTS)
    target = memory_target("deaf", lambda: ModelServer(behaviour))
    target = target.with_capabilities(probe(target))
    override(behaviour, "application", lambda _original, _application: Deaf())
    player = Player(target, second_runs=False)
    for name in ("datagrams.echo", "datagrams.long-quarter-id", "scenario-echo.datagrams.small"):
        judgement = player.play(CASES[name], Draft.D16).judgement
        assert judgement.verdict is Verdict.INCONCLUSIVE
        assert "0 of 20 datagrams came back" in judgement.reason
