"""From records to verdicts: levels, twins, sanity, obstacles, signatures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.judgement import (
    CheckRecord,
    ErrorRecord,
    ExpectRecord,
    InformationalRecord,
    NoteRecord,
    Record,
    RecordError,
    SanityRecord,
    TwinRecord,
    UnsupportedRecord,
    from_json,
    judge_case,
    judge_record,
    problem,
    reactions_of,
    to_json,
)
from reports.judgement.codes import describe, webtransport_code
from reports.verdict import Verdict, exit_code, summarise, worst

RIGHT: dict[str, Any] = {"kind": "connection_closed", "application": True, "code": 0x108, "by": "peer"}
GENERAL: dict[str, Any] = {**RIGHT, "code": 0x101}
GOOD = ExpectRecord(
    requirement="WT-4-06",
    level="MUST",
    set_name="connection-error",
    set_version=1,
    params={"code": 0x108},
    window_s=0.02,
    events=(RIGHT,),
)
SILENT = replace(GOOD, events=(), ended_by="deadline")
WRONG = replace(GOOD, events=({**RIGHT, "code": 0x100},))


@pytest.mark.parametrize(
    ("level", "events", "verdict"),
    [
        ("MUST", (RIGHT,), "pass"),
        ("MUST", (GENERAL,), "non_strict"),
        ("MUST", (), "fail"),
        ("IMPLIED", (), "fail"),
        ("SHOULD", (), "non_strict"),
        ("SHOULD", (GENERAL,), "non_strict"),
        ("MAY", (), "informational"),
        ("MAY", (GENERAL,), "informational"),
        ("MAY", (RIGHT,), "pass"),
    ],
)
def test_level_maps_the_grade(level: Any, events: Any, verdict: str) -> None:
    grade = judge_record(replace(GOOD, level=level, events=events, ended_by="deadline"))
    assert grade.verdict.value == verdict


def test_a_soft_row_is_at_most_informational() -> None:
    judged = judge_case("c", [replace(SILENT, soft="AMB-13")])
    assert judged.verdict is Verdict.INFORMATIONAL
    assert "AMB-13" in judged.reason
    assert judge_case("c", [replace(GOOD, soft="AMB-13")]).verdict is Verdict.INFORMATIONAL


def test_a_limit_caps_a_violation_and_leaves_a_pass() -> None:
    assert judge_record(replace(SILENT, limit="informational")).verdict is Verdict.INFORMATIONAL
    assert judge_record(replace(SILENT, limit="non_strict")).verdict is Verdict.NON_STRICT
    assert judge_record(replace(GOOD, limit="informational")).verdict is Verdict.PASS


def test_problem_of_a_twin() -> None:
    assert problem(GOOD) is None
    assert "did not close" in (problem(SILENT) or "")


def test_a_missing_reaction_needs_a_second_run() -> None:
    assert judge_case("c", [SILENT]).needs_confirmation
    assert not judge_case("c", [replace(SILENT, confirmed=True)]).needs_confirmation
    assert not judge_case("c", [WRONG]).needs_confirmation
    assert judge_case("c", [SILENT]).signature == judge_case("c", [replace(SILENT, confirmed=True)]).signature


@pytest.mark.parametrize(
    ("records", "verdict", "word"),
    [
        ([], "inconclusive", "nothing"),
        ([NoteRecord(text="x")], "inconclusive", "nothing"),
        ([TwinRecord(ok=True), GOOD, SanityRecord(phase="after", ok=True)], "pass", "names"),
        ([TwinRecord(ok=False, reason="status 404"), WRONG], "inconclusive", "status 404"),
        ([SanityRecord(phase="before", ok=False, reason="no echo"), GOOD], "inconclusive", "no echo"),
        ([GOOD, SanityRecord(phase="after", ok=False, reason="gone")], "inconclusive", "not reproduced"),
        ([GOOD, SanityRecord(phase="after", ok=False, reproduced=True)], "fail", "does not serve"),
        ([WRONG, SanityRecord(phase="after", ok=False, reason="gone")], "fail", "no error"),
        ([SILENT, SanityRecord(phase="after", ok=False, reason="gone")], "inconclusive", "gone"),
        ([ErrorRecord(what="own side closed"), GOOD], "inconclusive", "own side"),
        ([WRONG, ErrorRecord(what="exception", text="boom")], "inconclusive", "seen before"),
        ([UnsupportedRecord(kind="not negotiated", proof="SETTINGS")], "unsupported", "SETTINGS"),
        ([GOOD, UnsupportedRecord(kind="cooperation", proof="no observe")], "unsupported", "no observe"),
        ([WRONG, UnsupportedRecord(kind="cooperation", proof="no observe")], "fail", "no error"),
        ([replace(GOOD, set_name="no-such")], "inconclusive", "no-such"),
        ([replace(GOOD, set_version=99)], "inconclusive", "version 99"),
        ([replace(GOOD, params={})], "inconclusive", "code is not given"),
        ([replace(GOOD, events=({**RIGHT, "by": "local"},))], "inconclusive", "own side"),
        ([replace(SILENT, events=({**RIGHT, "by": "case"},))], "fail", "did not close"),
    ],
)
def test_what_keeps_a_case_from_being_judged(records: list[Record], verdict: str, word: str) -> None:
    judged = judge_case("c", records)
    assert judged.verdict.value == verdict
    assert word in judged.reason


def test_a_record_of_the_twin_run_is_no_verdict_of_the_case() -> None:
    twin = replace(GOOD, set_name="tolerated", params={}, events=(), ended_by="fence", twin=True)
    assert judge_case("c", [twin, GOOD]).verdict is Verdict.PASS
    assert judge_case("c", [twin]).verdict is Verdict.INCONCLUSIVE
    failed = judge_case("c", [replace(twin, events=(RIGHT,)), GOOD])
    assert failed.verdict is Verdict.INCONCLUSIVE
    assert "positive twin failed: the target closed the connection" in failed.reason


def test_verdicts_for_each_requirement_worst_first() -> None:
    info = InformationalRecord(requirement="C", text="opens 3 streams", observed=3)
    records: list[Record] = [
        replace(GOOD, also=("A",)),
        info,
        replace(WRONG, requirement="B"),
        replace(WRONG, requirement="A"),
    ]
    judged = judge_case("c", records, requirements=("A", "B", "C", "D"))
    assert list(judged.requirements.items()) == [
        ("A", Verdict.FAIL),
        ("B", Verdict.FAIL),
        ("D", Verdict.INCONCLUSIVE),
        ("C", Verdict.INFORMATIONAL),
        ("WT-4-06", Verdict.PASS),
    ]
    assert judged.reactions["C"] == "observed 3"
    assert judged.verdict is Verdict.FAIL


def test_signature_is_stable_over_times_and_streams_and_tells_reactions_apart() -> None:
    def signature(record: ExpectRecord, case_id: str = "c") -> str:
        return judge_case(case_id, [record]).signature

    reset = replace(
        GOOD,
        set_name="stream-error",
        params={"code": 0x10E, "stream": 8},
        events=({"kind": "stream_reset", "stream": 8, "code": 0x101, "time": 1.0},),
    )
    other = replace(
        reset,
        window_s=3.0,
        params={"code": 0x10E, "stream": 40},
        events=({"kind": "stream_reset", "stream": 40, "code": 0x101, "time": 2.0},),
    )
    assert signature(reset) == signature(other)
    code = replace(reset, events=({"kind": "stream_reset", "stream": 8, "code": 0x106},))
    assert len({signature(reset), signature(code), signature(SILENT), signature(reset, "d")}) == 4


def test_a_note_changes_nothing() -> None:
    assert judge_case("c", [GOOD, NoteRecord(text="x")]) == judge_case("c", [GOOD])


CHECKS = [
    ("==", 1, 1, True),
    ("!=", 1, 1, False),
    ("<", 1, 2, True),
    ("<=", 2, 2, True),
    (">", 1, 2, False),
    (">=", 2, 2, True),
    ("in", 404, [404, 405], True),
    ("not in", 404, [404, 405], False),
    ("contains", "abc", "b", True),
    ("not contains", "abc", "b", False),
    ("starts with", "abc", "ab", True),
    ("starts with", [1, 2], [1], True),
    ("is", 1, True, True),
    ("is", None, True, False),
]


@pytest.mark.parametrize(("operator", "observed", "expected", "held"), CHECKS)
def test_check(operator: Any, observed: Any, expected: Any, held: bool) -> None:
    check = CheckRecord(
        requirement="R", level="MUST", name="x", operator=operator, expected=expected, observed=observed
    )
    assert judge_record(check).verdict is (Verdict.PASS if held else Verdict.FAIL)
    if not held:
        assert judge_record(replace(check, broken="non_strict")).verdict is Verdict.NON_STRICT
        assert judge_record(replace(check, broken="informational")).verdict is Verdict.INFORMATIONAL


def test_a_check_may_be_inconclusive() -> None:
    lost = CheckRecord(
        requirement="R", level="MUST", name="x", operator=">", expected=0, observed=0, broken="inconclusive"
    )
    assert judge_case("c", [lost]).verdict is Verdict.INCONCLUSIVE


def test_an_absence_needs_its_fence_or_a_sign_of_life() -> None:
    tolerated = replace(SILENT, set_name="tolerated", params={})
    assert judge_case("c", [tolerated]).verdict is Verdict.FAIL
    assert judge_case("c", [tolerated]).needs_confirmation
    alive = replace(tolerated, events=({"kind": "data", "stream": 12},))
    assert judge_case("c", [alive]).verdict is Verdict.PASS
    assert judge_case("c", [replace(tolerated, ended_by="fence")]).verdict is Verdict.PASS


def test_a_check_that_cannot_be_compared_is_inconclusive() -> None:
    check = CheckRecord(requirement="R", level="MUST", name="x", operator="<", expected=1, observed=None)
    assert judge_record(check).verdict is Verdict.INCONCLUSIVE


def wire(name: str, **members: Any) -> dict[str, Any]:
    return {"time": 1.0, "direction": "received", "layer": "quic", "name": name, **members}


def test_reactions_of_wire_events() -> None:
    events = [
        wire("QuicPacket", packet_type="1rtt"),
        {**wire("StreamReset", stream_id=8, error_code=1), "direction": "sent"},
        wire("StreamReset", stream_id=8, error_code=0x10E, final_size=0, reliable_size=3),
        wire("StopSending", stream_id=8, error_code=0x10E),
        wire("StreamData", stream_id=8, data="", data_length=0, end_stream=True),
        wire("StreamData", stream_id=8, data="00", data_length=1, end_stream=False),
        wire("WtStreamData", stream_id=8, session_id=4, data="00", end_stream=False),
        wire("FieldSection", stream_id=8, fields=[["3a737461747573", "343034"]]),
        wire("FieldSection", stream_id=8, fields=[["3a737461747573", "34ff"]]),
        wire("FieldSection", stream_id=8, fields=[["61", "62"]]),
        wire("Capsule", stream_id=4, capsule_type=0x2843, value="0000000761"),
        wire("Capsule", stream_id=4, capsule_type=0x2843, value="0000"),
        wire("Capsule", stream_id=4, capsule_type=0x78AE, value=""),
        wire("WtDatagram", quarter_stream_id=1, payload="00"),
        wire("Goaway", stream_id=3, identifier=0),
        wire("ConnectionClosed", by="peer", error_code=0x108, frame_type=None, reason=""),
        wire("ConnectionClosed", by="peer", error_code=0x0A, frame_type=6, reason=""),
        wire("ConnectionClosed", by="idle", error_code=0, frame_type=None, reason=""),
        wire("ConnectionClosed", by="case", error_code=0, frame_type=None, reason=""),
    ]
    assert [reaction.label for reaction in reactions_of(events)] == [
        "stream_reset 0x10e",
        "stop_sending 0x10e",
        "fin",
        "data",
        "status 404",
        "status 0",
        "capsule 0x2843 code 0x7",
        "capsule 0x2843",
        "capsule 0x78ae",
        "datagram",
        "goaway",
        "connection_closed application 0x108",
        "connection_closed transport 0xa",
        "connection_lost idle",
    ]
    assert all(reaction.describe() for reaction in reactions_of(events))


def test_codes_are_named() -> None:
    assert describe(0x108) == "H3_ID_ERROR (0x108)"
    assert describe(0x05, transport=True) == "STREAM_STATE_ERROR (0x05)"
    assert "alert 42" in describe(0x12A, transport=True)
    # The boundaries of draft-ietf-webtrans-http3-16 §4.4.
    pairs = {0x52E4A40FA8DB: 0, 0x52E4A40FA8F8: 29, 0x52E4A40FA8FA: 30, 0x52E4A40FA9E2: 255}
    assert {code: webtransport_code(code) for code in pairs} == pairs
    assert webtransport_code(0x52E5AC983162) == 0xFFFFFFFF
    assert webtransport_code(0x52E4A40FA8F9) is None
    assert webtransport_code(0x52E5AC983163) is None


RECORDS: list[Record] = [
    GOOD,
    replace(SILENT, also=("A",), soft="AMB-01"),
    CheckRecord(requirement="R", level="MAY", name="x", operator="in", expected=[1, 2], observed=None),
    TwinRecord(ok=True),
    SanityRecord(phase="after", ok=False, reason="r", reproduced=True),
    NoteRecord(text="é\x00"),
    UnsupportedRecord(kind="cooperation", proof="p"),
    ErrorRecord(what="target gone"),
    InformationalRecord(requirement="R", text="t", observed={"a": [1]}),
]


@pytest.mark.parametrize("record", RECORDS)
def test_json_form_of_a_record(record: Record) -> None:
    assert from_json(to_json(record)) == record


def test_bytes_in_a_record_become_hexadecimal() -> None:
    raw: Any = b"\x00\xff"
    check = CheckRecord(requirement="R", level="MUST", name="x", operator="==", expected=raw, observed=None)
    assert to_json(check)["expected"] == "00ff"


def test_json_form_of_reactions_is_read_again() -> None:
    events: list[dict[str, Any]] = [
        RIGHT,
        {"kind": "capsule", "stream": 4, "type": 0x2843, "code": 7},
        {"kind": "stream_reset", "stream": 8, "code": 1, "reliable_size": 3},
        {"kind": "connection_lost", "by": "idle"},
        {"kind": "status", "stream": 4, "status": 200},
    ]
    assert [reaction.as_json() for reaction in reactions_of(events)] == events


@pytest.mark.parametrize("value", [{}, {"record": "odd"}, {"record": "note"}, {"record": "note", "x": 1}])
def test_what_is_no_record(value: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        from_json(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["kind", "name", "direction", "by", "code", "error_code", "stream", "stream_id", "status", "fields",
     "value", "capsule_type", "application", "frame_type", "end_stream", "quarter_stream_id"]
)  # fmt: skip
VALUES = JSON | st.sampled_from(["ConnectionClosed", "FieldSection", "Capsule", "status", "fin", "peer"])


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=8), max_size=4))
def test_whatever_stands_in_the_events_the_judge_answers(events: list[dict[str, Any]]) -> None:
    records = [
        replace(GOOD, events=tuple(events)),
        replace(GOOD, set_name="any", params={}, events=tuple(events)),
    ]
    first = judge_case("c", records)
    assert first == judge_case("c", [from_json(to_json(record)) for record in records])


@pytest.mark.parametrize(
    ("verdicts", "strict", "code"),
    [
        (["pass"], False, 0),
        (["pass", "non_strict", "unsupported", "informational"], False, 0),
        (["pass", "non_strict"], True, 1),
        (["pass", "fail", "inconclusive"], False, 1),
        (["pass", "inconclusive"], False, 3),
        (["unsupported", "informational"], False, 3),
        ([], False, 3),
    ],
)
def test_exit_code(verdicts: list[str], strict: bool, code: int) -> None:
    assert exit_code(summarise(Verdict(verdict) for verdict in verdicts), strict=strict) == code


def test_worst_and_labels() -> None:
    assert worst([]) is Verdict.INCONCLUSIVE
    assert worst([Verdict.PASS, Verdict.INFORMATIONAL]) is Verdict.INFORMATIONAL
    assert worst(Verdict) is Verdict.FAIL
    assert Verdict.NON_STRICT.label == "non-strict"
    assert list(summarise([])) == [verdict.value for verdict in Verdict]
