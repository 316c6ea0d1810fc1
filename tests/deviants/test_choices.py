"""No case objects to a server that does otherwise than the model server, as the texts allow."""

from __future__ import annotations

import pytest

from conformance.deviants.choices import all_choices
from conformance.deviants.choices.definition import choice, instead, registry
from conformance.deviants.choices.play import objections
from conformance.harness.case import load_cases
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import Behaviour

CASES = load_cases()
CHOICES = {item.id: item for item in all_choices()}

# Choices that go together: each is in at least one server, and three servers take a fraction of the time of
# one for each. ``python -m conformance.deviants.choices`` plays each alone.
TOGETHER = {
    "adds": (
        "wire.long-integers", "h3.greases", "h3.other-responses", "h3.interim-responses",
        "h3.refuses-by-status", "h3.discards-unknown-streams", "echo.prefix", "session.closes-back",
        "flow.by-capsules", "flow.errors-by-capsule", "subprotocol.own-preference",
        "quic.old-reset-stream-at", "quic.more-reliable", "h3.slow", "session.early-streams-gone",
    ),
    "lacks": (
        "h3.no-table", "h3.stops-with-reserved-code", "h3.open-readings", "h3.rejects-plain-requests",
        "session.resets-on-close", "session.stops-after-close", "session.ends-when-drained",
        "session.keeps-nothing-early", "session.leaves-reset-connect-open", "flow.tiny",
        "quic.small-windows", "quic.small-datagrams", "quic.new-reset-stream-at",
        "streams.own-code-for-stop", "echo.whole-bodies", "observe.late",
    ),
    "ends": (
        "h3.no-qpack-streams", "h3.raises-stream-errors", "session.resets-without-error",
        "session.closes-connection-soon", "flow.none", "quic.few-bidi-streams",
    ),
    "stays": (
        "session.closes-connection-later", "flow.ahead", "h3.never-blocked", "h3.refers-to-nothing",
        "quic.fixed-streams", "quic.three-uni-streams", "quic.no-tickets",
    ),
}  # fmt: skip
# Cases that take long and see little of the protocol.
LONG = ("scenario-baton.", "scenario-echo.", "scenario-sessions.")
# Areas that the last two have something to do with.
CONCERNED = (
    "buffering.",
    "capsules.",
    "close-drain.",
    "datagrams.",
    "early-data.",
    "flow-control.",
    "pooling.",
    "request",
    "qpack",
)


def test_every_choice_is_played() -> None:
    assert {name for names in TOGETHER.values() for name in names} == CHOICES.keys()


@pytest.mark.parametrize("name", ["adds", "lacks"])
def test_no_case_objects_to_choices(name: str) -> None:
    cases = [case for case in CASES if not case.identifier.startswith(LONG)]
    assert not list(objections([CHOICES[item] for item in TOGETHER[name]], cases, Draft.D16))


@pytest.mark.parametrize("name", ["ends", "stays"])
def test_no_case_of_the_areas_concerned_objects_to_choices(name: str) -> None:
    cases = [case for case in CASES if case.identifier.startswith(CONCERNED)]
    assert not list(objections([CHOICES[item] for item in TOGETHER[name]], cases, Draft.D16))


@pytest.mark.parametrize("draft", DRAFTS)
def test_no_case_objects_to_a_server_of_one_draft(draft: Draft) -> None:
    cases = [
        case
        for case in CASES
        if case.identifier.startswith(("close-drain.", "negotiation.", "establishment."))
    ]
    assert not list(objections([], cases, draft, [draft]))


def test_a_choice_has_a_title_and_an_identifier_of_its_own() -> None:
    def nameless(behaviour: Behaviour) -> None:
        behaviour.max_sessions = 1

    with pytest.raises(ValueError, match="title"):
        choice("test.nameless", "nowhere")(nameless)
    known = registry["flow.none"]
    with pytest.raises(ValueError, match="of its own"):
        choice(known.id, known.reference)(known.apply)


def test_only_a_method_that_exists_is_replaced() -> None:
    with pytest.raises(AttributeError):
        instead(Behaviour(), "no_such_method", print)
