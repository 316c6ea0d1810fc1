"""What the texts let a target do is no finding."""

from __future__ import annotations

import pytest

from conformance.harness.inmemory import memory_target
from conformance.harness.target import Target
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour, ModelServer
from conformance.peer.model.engine import Connection
from fuzz import operations as op
from fuzz.excuses import RequestsBeside
from fuzz.executor import Executor
from fuzz.machines.capsules import PLENTY
from fuzz.violations import Found, Unjudged

SESSION = (op.Connect(), op.Establish())
SHUTTING = {"capsule": op.Close(), "fin": op.EndConnect("fin")}
LATER = {"nothing": (), "datagram": (op.RawDatagram(b""),), "encoder": (op.EndCritical("encoder", "fin"),)}


class Closing(Behaviour):
    """Ends the connection with its session."""

    code = H3.NO_ERROR

    def session_over(self, connection: Connection) -> None:
        """Close."""
        connection.quic.close(self.code)


class Accusing(Closing):
    """The same, and blames the client."""

    code = H3.GENERAL_PROTOCOL_ERROR


class Generous(Behaviour):
    """Gives credit for what was read at once, and does not mind what came before it."""

    def __init__(self) -> None:
        super().__init__()
        self.rules.skip("data-exceeded")
        self.credit_delay = 0.0


def target(behaviour: type[Behaviour], model: Target) -> Target:
    made = memory_target("closing", lambda: ModelServer(behaviour()))
    return made.with_capabilities(model.capabilities)


def found(target: Target, script: op.Script) -> Found | None:
    try:
        return Executor(target, Draft.D16).run(script)
    except Unjudged:
        return None


@pytest.mark.parametrize("end", SHUTTING)
@pytest.mark.parametrize("later", LATER)
def test_a_connection_may_end_with_its_session(model: Target, end: str, later: str) -> None:
    script = (*SESSION, SHUTTING[end], *LATER[later])
    assert found(target(Closing, model), script) is None


def test_but_not_with_an_error(model: Target) -> None:
    assert found(target(Accusing, model), (*SESSION, op.Close())) is not None


def test_requests_beside_a_session_are_answered_by_the_model(model: Target) -> None:
    assert RequestsBeside(model, Draft.D16).answered()


def test_a_limit_that_is_raised_meanwhile_is_waited_for_no_longer(
    model: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fence(self: Peer, *_arguments: object, **_options: object) -> None:
        raise AssertionError("nothing is due any more")

    monkeypatch.setattr(Peer, "fence", fence)
    executor = Executor(target(Generous, model), Draft.D16)
    with pytest.raises(Unjudged, match="raised its limit"):
        executor.run([op.Connect(PLENTY), op.Establish(), op.Overrun("data", 1)])
    executor.drop()
