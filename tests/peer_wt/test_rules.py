"""Each rule of the model server is broken once; the reaction is the one of its row."""

from __future__ import annotations

import pytest

from conformance.peer.client import Peer
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import RULES, Behaviour, Rule
from conformance.peer.options import PeerOptions
from conformance.peer.streams import RequestStream, Stream
from tests.peer_wt.support import World
from tests.peer_wt.violations import VIOLATIONS, Violation

CASES = pytest.mark.parametrize("name", VIOLATIONS)
SKIPPABLE = pytest.mark.parametrize("name", [n for n, v in VIOLATIONS.items() if v.skippable])
WITHOUT_CODE = ("response", "ignore")
CODED = pytest.mark.parametrize("name", [n for n, r in RULES.items() if r.scope not in WITHOUT_CODE])
# Rules that other drafts do not have; those of the negotiation show nothing there.
FOREIGN = [
    (draft, name)
    for name, rule in RULES.items()
    for draft in DRAFTS
    if draft not in rule.drafts and VIOLATIONS[name].draft is Draft.D16 and "client-" not in name
]


def test_every_rule_has_a_violation() -> None:
    assert set(VIOLATIONS) == set(RULES)


def connect(world: World, violation: Violation) -> Peer:
    """Connect without waiting for success: some violations are in the first bytes."""
    options = PeerOptions(wait_settings=False, **violation.options)
    peer = Peer(world.opener, violation.draft, options)
    if peer.wait(lambda: peer.quic.handshake_complete):
        peer.start_h3()
    peer.wait(lambda: peer.peer_settings is not None)
    return peer


def aborted_with(stream: Stream | None) -> set[int]:
    assert stream is not None
    return {event.error_code for event in (stream.reset_event, stream.stop_event) if event is not None}


def check(rule: Rule, peer: Peer, stream: Stream | None, code: int) -> None:
    match rule.scope:
        case "transport":
            assert peer.closed is not None
            assert (peer.closed.by, peer.closed.error_code) == ("peer", code)
            assert not peer.closed.application
        case "connection":
            peer.wait(lambda: False)
            assert peer.closed is not None
            assert (peer.closed.by, peer.closed.error_code) == ("peer", code)
            assert peer.closed.application
        case "request" | "stream" | "session":
            assert peer.wait(lambda: bool(aborted_with(stream)))
            assert aborted_with(stream) == {code}
            assert peer.fence().held
        case "response":
            assert isinstance(stream, RequestStream)
            assert peer.wait(lambda: stream.ended)
            assert stream.status == code
        case "ignore":
            assert peer.fence().held


@CASES
def test_reaction(name: str) -> None:
    violation, rule = VIOLATIONS[name], RULES[name]
    world = World()
    peer = connect(world, violation)
    stream = violation.provoke(peer)
    check(rule, peer, stream, rule.code_in(violation.draft))
    assert world.violations[:1] == [name]


@SKIPPABLE
def test_rule_taken_away(name: str) -> None:
    violation = VIOLATIONS[name]
    behaviour = Behaviour()
    behaviour.rules.skip(name)
    world = World(behaviour)
    peer = connect(world, violation)
    violation.provoke(peer)
    peer.fence()
    assert name not in world.violations


@CODED
def test_other_code(name: str) -> None:
    """A deviant with a changed code shows exactly this code."""
    violation, rule = VIOLATIONS[name], RULES[name]
    behaviour = Behaviour()
    behaviour.rules.code(name, 0x0199)
    peer = connect(World(behaviour), violation)
    stream = violation.provoke(peer)
    check(rule, peer, stream, 0x0199)


@pytest.mark.parametrize(("draft", "name"), FOREIGN)
def test_rules_of_other_drafts_do_not_apply(draft: Draft, name: str) -> None:
    violation = VIOLATIONS[name]
    world = World(drafts=[draft])
    peer = world.connect(draft, **violation.options)
    violation.provoke(peer)
    peer.fence()
    assert name not in world.violations


def test_requirement_ids_look_like_those_of_the_catalogue() -> None:
    for rule in RULES.values():
        for requirement in rule.requirements:
            source, *rest = requirement.split("-")
            assert source.isalnum() and rest and rest[-1].isdigit(), requirement


def test_rules_name_their_source() -> None:
    assert all(rule.reference for rule in RULES.values())


def test_rule_table_knows_its_names() -> None:
    with pytest.raises(KeyError):
        Behaviour().rules.skip("no-such-rule")
