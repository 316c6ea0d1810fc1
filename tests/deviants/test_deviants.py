"""Declarations of deviants, and what the kill matrix makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.deviants import Deviant, all_deviants, deviants_of
from conformance.deviants.definition import add, deviant, expected_kill, override, registry
from conformance.deviants.matrix import Laboratory, Matrix, compute
from conformance.deviants.rules import ALSO, RAISED, SEEN_AS, UNSEEN, WRONG_CODES
from conformance.harness.case import load_cases
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import PERMISSIONS, RULES, Behaviour
from conformance.requirements import by_id
from reports.schemas import validate

CASES = {case.identifier: case for case in load_cases(("conformance.cases",))}
DEVIANTS = {item.id: item for item in all_deviants()}
NEWEST = (Draft.D16,)
LABORATORY = Laboratory(DRAFTS)


def small(deviants: list[str], cases: list[str], *, sample: float = 1.0) -> Matrix:
    return compute(
        [DEVIANTS[name] for name in deviants], [CASES[name] for name in cases], NEWEST, sample=sample
    )


# --- declarations ---


@pytest.mark.parametrize("item", all_deviants(), ids=lambda item: item.id)
def test_deviants_name_rows_of_the_catalogue_in_their_drafts(item: Deviant) -> None:
    assert item.title and item.drafts
    for name in item.requirements:
        by_id(name)
    item.behaviour(DRAFTS)


def test_tables_of_rows_name_rules_and_permissions() -> None:
    names = RULES.keys() | PERMISSIONS.keys()
    assert set(ALSO) <= names
    assert set(RAISED) | set(WRONG_CODES) | set(UNSEEN) <= RULES.keys()
    assert set(SEEN_AS) <= DEVIANTS.keys()
    assert all(UNSEEN.values())


def test_every_rule_with_requirements_is_left_out_by_a_deviant_or_says_why_not() -> None:
    for rule in RULES.values():
        if rule.requirements:
            assert (f"skip.{rule.name}" in DEVIANTS) != (rule.name in UNSEEN)


def test_every_permission_is_forbidden_by_a_deviant() -> None:
    assert {f"forbid.{name}" for name in PERMISSIONS} <= DEVIANTS.keys()


def test_permissions_are_granted_unless_forbidden() -> None:
    behaviour = Behaviour(DRAFTS)
    for name, row in PERMISSIONS.items():
        assert behaviour.rules[name].scope == "accept"
        behaviour.rules.forbid(name)
        assert behaviour.rules[name] == row


def test_an_identifier_is_given_once() -> None:
    known = DEVIANTS["codes.raw"]
    with pytest.raises(ValueError, match="declared twice"):
        add(Deviant(known.id, "another one", known.requirements, "fail", known.apply))
    assert registry[known.id] is known


def test_a_deviant_needs_title_and_requirements() -> None:
    def nameless(behaviour: Behaviour) -> None:
        behaviour.max_sessions = 0

    with pytest.raises(ValueError, match="title"):
        deviant("test.nameless", "WT-4-06")(nameless)


def test_a_hook_that_does_not_exist_cannot_be_overridden() -> None:
    with pytest.raises(AttributeError):
        override(Behaviour(), "no_such_hook", lambda original: original())


def test_the_expected_kill_is_the_worst_that_the_catalogue_allows() -> None:
    assert expected_kill(("WT-4-06",)) == "fail"
    assert expected_kill(("H3-6.1-01",)) == "non_strict"
    assert expected_kill(("WT-3.4-01",)) == "changed"
    assert expected_kill(("WT-3.4-01", "H3-6.1-01")) == "non_strict"


def test_deviants_of_a_case() -> None:
    found = {item.id for item in deviants_of(CASES["streams-uni.session-id-maximum"])}
    assert found == {"skip.uni-session-id", "code.uni-session-id"}


# --- the matrix ---


def test_a_fault_is_killed_by_its_case_and_by_nothing_else() -> None:
    matrix = small(["skip.uni-session-id"], ["streams-uni.session-id-maximum", "streams-uni.limits"])
    assert matrix.kills == {"skip.uni-session-id": ["streams-uni.session-id-maximum"]}
    assert not matrix.survivors and not matrix.false_kills and not matrix.baseline_faults
    assert matrix.unkilled_cases == ["streams-uni.limits"]
    assert (matrix.played, matrix.unreached) == (1, 1)
    assert matrix.sound(partial=True) and not matrix.sound()


def test_a_wrong_code_is_a_non_strict_kill() -> None:
    matrix = small(["code.uni-session-id"], ["streams-uni.session-id-maximum"])
    assert matrix.sound()


def test_a_fault_without_its_case_survives() -> None:
    matrix = small(["skip.uni-session-id"], ["streams-uni.limits"])
    assert matrix.survivors == ["skip.uni-session-id"]


def test_a_change_outside_of_the_declared_rows_is_a_false_kill() -> None:
    honest = DEVIANTS["skip.uni-session-id"]
    liar = Deviant("test.liar", "names another row", ("H3-6.2-02",), "non_strict", honest.apply)
    case = CASES["streams-uni.session-id-maximum"]
    matrix = compute([liar], [case], NEWEST)
    assert matrix.survivors == ["test.liar"]
    assert [(item["requirement"], item["verdict"]) for item in matrix.false_kills] == [("WT-4-06", "fail")]


def test_a_case_that_leans_on_the_fault_is_blocked() -> None:
    matrix = small(["forbid.datagram-empty"], ["datagrams.too-short.empty", "datagrams.empty-payload"])
    assert [item["case"] for item in matrix.blocked] == ["datagrams.too-short.empty"]
    assert matrix.kills["forbid.datagram-empty"] == ["datagrams.empty-payload"]


def test_a_fault_is_made_of_hooks_attributes_and_rows() -> None:
    laboratory = Laboratory(NEWEST)
    assert laboratory.changed(DEVIANTS["skip.uni-session-id"]) == {"uni-session-id"}
    assert laboratory.changed(DEVIANTS["forbid.drain"]) == {"drain"}
    assert laboratory.changed(DEVIANTS["codes.raw"]) == {"map_error_code"}
    dropped = {"max_buffered_streams", "accept_delay", "stream-buffer-full"}
    assert laboratory.changed(DEVIANTS["streams.early-dropped"]) == dropped


@pytest.mark.parametrize("item", all_deviants(), ids=lambda item: item.id)
def test_every_deviant_differs_from_the_fault_free_server(item: Deviant) -> None:
    assert LABORATORY.changed(item)


def test_what_is_left_out_would_have_changed_nothing() -> None:
    laboratory = Laboratory(NEWEST)
    faulty = DEVIANTS["skip.uni-session-id"]
    player = laboratory.deviant(faulty)
    for name in ("streams-uni.limits", "streams-bidi.session-id-maximum", "datagrams.echo"):
        before = laboratory.baseline(CASES[name], Draft.D16)
        assert "uni-session-id" not in before.asked
        assert player.play(CASES[name], Draft.D16).judgement == before.judgement


def test_a_sample_is_reproducible() -> None:
    names = [name for name in sorted(CASES) if name.startswith("streams-uni.")]
    both = [small(["codes.raw"], names, sample=0.3) for _ in range(2)]
    chosen = [matrix.played + matrix.unreached for matrix in both]
    assert 0 < chosen[0] == chosen[1] < len(names)


def test_the_matrix_satisfies_its_schema() -> None:
    matrix = small(["skip.uni-session-id", "codes.raw"], ["streams-uni.session-id-maximum"])
    value: dict[str, Any] = json.loads(json.dumps(matrix.as_json()))
    validate("deviants", value)
    assert value["survivors"] == ["codes.raw"]
    assert value["cases"] == [
        {"id": "streams-uni.session-id-maximum", "kills": ["skip.uni-session-id"], "can_fail": True}
    ]
