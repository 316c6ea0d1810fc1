"""The model against the text: what each operation leads to, and where the texts leave it open."""

from __future__ import annotations

import pytest

from conformance.peer.codepoints import H3, WT, CapsuleType, FrameType, StreamType, reserved
from conformance.peer.drafts import Draft
from conformance.requirements import by_id
from fuzz import expectations as allowed
from fuzz import operations as op
from fuzz.expectations import ANY_CONNECTION, ANY_SESSION, NOTHING, Expectation
from fuzz.model import Facts, SessionModel
from fuzz.requests import REQUESTS
from reports.judgement import reaction_set

CLOSE = int(CapsuleType.WT_CLOSE_SESSION)
MAX_UNI = int(CapsuleType.WT_MAX_STREAMS_UNI)
LIMITS = {"uni": 10, "bidi": 10, "data": 1000}
ROOM = {"uni": 100, "bidi": 100, "data": 100_000}


def facts(draft: Draft = Draft.D16, *, flow_control: bool = False) -> Facts:
    limits = LIMITS if flow_control else {}
    return Facts(draft=draft, flow_control=flow_control, target_limits=limits, own_limits=limits, room=ROOM)


def outcome(*operations: op.Operation, known: Facts | None = None) -> Expectation:
    model = SessionModel(known or facts())
    result = NOTHING
    for item in operations:
        assert model.applies(item)
        result = model.apply(item)
    return result


@pytest.mark.parametrize(
    ("operation", "code", "requirement"),
    [
        (op.OpenStream(0, bidi=False, session_offset=1), H3.ID_ERROR, "WT-4-06"),
        (op.OpenStream(0, bidi=True, session_offset=2), H3.ID_ERROR, "WT-4-07"),
        (op.RawDatagram(b""), H3.DATAGRAM_ERROR, "HD-2.1-02"),
        (op.RawDatagram(b"\x80\0"), H3.DATAGRAM_ERROR, "HD-2.1-02"),
        (op.RawDatagram(b"\xd0" + bytes(7)), H3.DATAGRAM_ERROR, "HD-2.1-01"),
        (op.Frame("control", FrameType.DATA), H3.FRAME_UNEXPECTED, "H3-7.2-01"),
        (op.Frame("control", FrameType.SETTINGS), H3.FRAME_UNEXPECTED, "H3-7.2.4-01"),
        (op.Frame("control", FrameType.GOAWAY, b"\x40"), H3.FRAME_ERROR, "H3-7.1-01"),
        (op.Frame("control", FrameType.CANCEL_PUSH, b"\0"), H3.ID_ERROR, "H3-7.2-07"),
        (op.Frame("connect", FrameType.HEADERS), H3.FRAME_UNEXPECTED, "H3-4.4-01"),
        (op.Frame("connect", FrameType.WT_STREAM), H3.FRAME_ERROR, "WT-4.3-07"),
        (op.Frame("connect", reserved(1), b"", 5), H3.FRAME_ERROR, "H3-7.1-02"),
        (op.Frame("connect", 0x02), H3.FRAME_UNEXPECTED, "H3-7.2-09"),
        (op.OtherUni(StreamType.CONTROL), H3.STREAM_CREATION_ERROR, "H3-6.2.1-02"),
        (op.OtherUni(StreamType.PUSH), H3.STREAM_CREATION_ERROR, "H3-6.2.2-01"),
        (op.EndCritical("decoder", "reset"), H3.CLOSED_CRITICAL_STREAM, "QPK-4.2-02"),
    ],
)
def test_connection_errors(operation: op.Operation, code: int, requirement: str) -> None:
    expected = outcome(operation)
    assert (expected.set_name, expected.scope) == ("connection-error", "connection")
    assert (expected.code, expected.requirement) == (code, requirement)


@pytest.mark.parametrize(
    "operation",
    [
        op.OpenStream(0, session_offset=0, id_length=8),
        op.OtherUni(reserved(3), b"x"),
        op.Frame("control", reserved(3), b"x"),
        op.Frame("connect", reserved(3), b"x"),
        op.Capsule(reserved(3), b"x"),
        op.Frame("connect", FrameType.DATA),
        op.Drain(),
        op.Datagram(b""),
        op.Frame("control", FrameType.GOAWAY, b"\x04"),
        op.Limit("uni", 3),  # ignored while flow control is off
        op.Limit("uni", 1 << 60, blocked=True),
    ],
)
def test_what_has_to_be_ignored(operation: op.Operation) -> None:
    assert outcome(operation) is NOTHING


@pytest.mark.parametrize("blocked", [False, True])
def test_two_sentences_about_an_excessive_limit_without_flow_control(blocked: bool) -> None:
    assert not outcome(op.Limit("bidi", (1 << 60) + 1, blocked)).judged


@pytest.mark.parametrize(
    ("operation", "requirement"),
    [
        (op.Capsule(CLOSE, b"\0\0\0"), "WT-6-15"),
        (op.Close(0, b"r" * 1025), "WT-6-12"),
        (op.Close(0, b"\xff"), "WT-6-13"),
        (op.Capsule(CapsuleType.WT_DRAIN_SESSION, b"x"), "WT-4.7-07"),
        (op.Capsule(reserved(3), b"x", missing=1), "HD-3.3-03"),
    ],
)
def test_malformed_capsules(operation: op.Operation, requirement: str) -> None:
    expected = outcome(operation)
    assert (expected.set_name, expected.code) == ("stream-error", H3.MESSAGE_ERROR)
    assert expected.requirement == requirement


def test_close_messages_are_not_judged_before_draft_16() -> None:
    for draft in (Draft.D14, Draft.D07, Draft.D02):
        assert outcome(op.Close(0, b"\xff"), known=facts(draft)) is ANY_SESSION


@pytest.mark.parametrize(
    ("operation", "requirement"),
    [(op.Close(), "WT-6-18"), (op.Close(fin=False), "WT-6-08"), (op.EndConnect("fin"), "WT-6-05"),
     (op.EndConnect("reset"), "WT-6-06"), (op.Capsule(reserved(3), b"", fin=True), "WT-6-05")],
)  # fmt: skip
def test_the_end_of_a_session(operation: op.Operation, requirement: str) -> None:
    assert outcome(operation) == allowed.session_closed(requirement)


def test_stop_sending_on_the_connect_stream_is_open() -> None:
    assert outcome(op.EndConnect("stop")) is ANY_SESSION  # AMB-24


def test_sessions_that_never_were_are_open() -> None:
    assert outcome(op.OpenStream(0, session_offset=4)) is ANY_CONNECTION  # AMB-11


def test_limits_have_to_grow() -> None:
    known = facts(flow_control=True)
    error = allowed.session_error("WT-5.6.2-09", WT.FLOW_CONTROL_ERROR)
    equal = allowed.session_error("WT-5.6.2-10", WT.FLOW_CONTROL_ERROR)
    assert outcome(op.Limit("uni", 20), op.Limit("uni", 21), known=known) is NOTHING
    assert outcome(op.Limit("uni", 20), op.Limit("uni", 19), known=known) == error
    assert outcome(op.Limit("uni", 20), op.Limit("uni", 20), known=known) == equal
    assert outcome(op.Limit("uni", 20), op.Limit("bidi", 15), known=known) is NOTHING


def test_the_initial_limit_is_an_open_reading() -> None:
    known = facts(flow_control=True)
    assert outcome(op.Limit("uni", 10), known=known) is ANY_SESSION  # AMB-09
    assert outcome(op.Limit("uni", 11), known=known) is NOTHING


def test_an_equal_limit_is_no_error_in_draft_14() -> None:
    known = facts(Draft.D14, flow_control=True)
    assert outcome(op.Limit("uni", 20), op.Limit("uni", 20), known=known) is NOTHING


def test_excessive_and_malformed_limits() -> None:
    known = facts(flow_control=True)
    assert outcome(op.Limit("bidi", (1 << 60) + 1), known=known).requirement == "WT-5.6.2-02"
    assert outcome(op.Limit("data", (1 << 60) + 1), known=known) is NOTHING
    assert outcome(op.Capsule(MAX_UNI, b"\x01\x01"), known=known).requirement == "WT-5.6.2-13"
    assert outcome(op.Capsule(MAX_UNI, b"\x01\x01")) is ANY_SESSION


def test_overruns_count_what_was_used() -> None:
    model = SessionModel(facts(flow_control=True))
    for name in range(4):
        model.apply(op.OpenStream(name, bidi=False))
    overrun = op.Overrun("uni", 2)
    assert model.applies(overrun)
    assert model.apply(overrun).requirement == "WT-5.6.2-07"
    assert model.overrun == 8
    assert model.exceeds("uni")
    model.limit_raised("uni", 12)
    assert not model.exceeds("uni")


def test_overruns_stop_at_the_limits_of_quic() -> None:
    known = Facts(
        draft=Draft.D16, flow_control=True, target_limits=LIMITS, own_limits=LIMITS, room={"uni": 10}
    )
    assert not SessionModel(known).applies(op.Overrun("uni", 1))


def test_more_than_the_limit_by_accident_is_not_judged() -> None:
    known = facts(flow_control=True)
    assert outcome(op.OpenStream(0, data=bytes(1001)), known=known) is ANY_SESSION


def test_echoes_are_due_for_finished_streams_only() -> None:
    model = SessionModel(facts())
    model.apply(op.OpenStream(0, data=b"a"))
    model.apply(op.OpenStream(1, data=b"b", fin=True))
    model.apply(op.OpenStream(2, data=b"c", fin=True))
    model.apply(op.Stop(2, 0))
    assert model.due_echoes() == [1]
    model.apply(op.Send(0, b"c", fin=True))
    assert model.due_echoes() == [0, 1]
    assert not model.applies(op.Send(0, b"d"))
    assert not model.applies(op.OpenStream(0))


def test_nothing_applies_to_a_session_that_is_over() -> None:
    model = SessionModel(facts())
    model.apply(op.Close())
    assert model.over and not model.open
    assert not any(model.applies(item) for item in (op.Drain(), op.Close(), op.Frame("connect", 1)))
    assert model.applies(op.OpenStream(0)) and model.applies(op.Datagram(b""))


def test_identifiers_grow_and_shrink() -> None:
    goaway, push = FrameType.GOAWAY, FrameType.MAX_PUSH_ID
    frames = {value: op.Frame("control", goaway, bytes([value])) for value in (4, 8)}
    assert outcome(frames[8], frames[4]) is NOTHING
    assert outcome(frames[4], frames[8]) is allowed.GOAWAY_GROWS
    shrinking = [op.Frame("control", push, bytes([value])) for value in (8, 4)]
    assert outcome(*shrinking) is allowed.MAX_PUSH_ID_SHRINKS


def test_all_rows_and_sets_exist() -> None:
    found = [value for value in vars(allowed).values() if isinstance(value, Expectation)]
    tables = (allowed.CONNECT_FRAMES, allowed.CONTROL_FRAMES, allowed.UNI_STREAMS, allowed.CRITICAL)
    found += [item for table in tables for item in table.values()]
    found += [item.expectation for item in REQUESTS.values()]
    rows = [*allowed.SHRINKS.values(), *allowed.EQUAL.values(), *allowed.EXCESSIVE.values()]
    for name in [*rows, *(item.requirement for item in found if item.judged)]:
        assert by_id(name).identifier == name
    assert all(reaction_set(item.set_name) for item in found)
