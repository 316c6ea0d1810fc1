"""Every clause of every set against the table that was derived by hand."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import pytest

from reports.judgement import ExpectRecord, SetError, all_sets, judge_record, more_needed, reaction_set
from reports.judgement.sets import load

HERE = Path(__file__).parent
GOLDEN: dict[str, Any] = tomllib.loads((HERE / "golden.toml").read_text(encoding="utf-8"))
LOCK = HERE / "sets.lock.json"
ROWS = [(name, *row) for name, entry in GOLDEN.items() for row in entry["rows"]]


# The shorthand of the table.
STREAMS = {"S": 8, "C": 4, "X": 12}


def reactions(text: str) -> tuple[tuple[dict[str, Any], ...], Literal["event", "deadline", "fence"]]:
    """Return the reactions of a row and how its window ended."""
    if text.startswith("-"):
        return (), "fence" if text.endswith("fence") else "deadline"
    return tuple(_reaction(part.split()) for part in text.split("; ")), "event"


def _reaction(words: list[str]) -> dict[str, Any]:
    match words:
        case ["close", layer, code]:
            return {
                "kind": "connection_closed",
                "application": layer == "app",
                "code": int(code, 0),
                "by": "peer",
            }
        case ["lost", by]:
            return {"kind": "connection_lost", "by": by}
        case ["reset", stream, code]:
            return {"kind": "stream_reset", "stream": STREAMS[stream], "code": int(code, 0)}
        case ["stop", stream, code]:
            return {"kind": "stop_sending", "stream": STREAMS[stream], "code": int(code, 0)}
        case ["status", stream, status]:
            return {"kind": "status", "stream": STREAMS[stream], "status": int(status)}
        case ["capsule", stream, code]:
            return {"kind": "capsule", "stream": STREAMS[stream], "type": 0x2843, "code": int(code, 0)}
        case [kind, stream]:
            return {"kind": kind, "stream": STREAMS[stream]}
        case _:
            raise AssertionError(words)


def record(name: str, text: str) -> ExpectRecord:
    events, ended_by = reactions(text)
    return ExpectRecord(
        requirement="WT-4-06",
        level="MUST",
        set_name=name,
        set_version=all_sets()[name].version,
        params=GOLDEN[name]["params"],
        window_s=1.0,
        ended_by=ended_by,
        events=events,
    )


@pytest.mark.parametrize(("name", "text", "clause", "grade"), ROWS)
def test_golden_row(name: str, text: str, clause: str, grade: str) -> None:
    judged = judge_record(record(name, text))
    assert (judged.clause, judged.raw.value, judged.verdict.value) == (clause, grade, grade)
    assert judged.sentence


def test_golden_table_hits_every_clause_and_both_silences() -> None:
    wanted = {
        (name, clause)
        for name, entry in all_sets().items()
        for clause in [*(part.id for part in entry.clauses), "deadline", "fence"]
    }
    assert {(name, clause) for name, _, clause, _ in ROWS} == wanted


def test_a_changed_set_raises_its_version() -> None:
    """The lock holds one line for each version: a digest may change only together with the version."""
    known = json.loads(LOCK.read_text(encoding="utf-8"))
    current = {name: {"version": entry.version, "digest": entry.digest} for name, entry in all_sets().items()}
    for name, entry in current.items():
        if name in known and known[name]["version"] == entry["version"]:
            assert known[name]["digest"] == entry["digest"], (
                f"the set {name} changed: raise its version and its entry in {LOCK.name}"
            )
    assert known == current, f"write into {LOCK.name}: {json.dumps(current, indent=1)}"


def test_digest_sees_a_changed_grade_and_ignores_the_version() -> None:
    data = {
        "set": [
            {
                "name": "a",
                "version": 1,
                "title": "t",
                "source": "s",
                "clauses": [{"id": "x", "kind": "fin", "grade": "pass", "says": "s"}],
                "deadline": "fail",
                "deadline_says": "",
                "fence": "pass",
                "fence_says": "",
            }
        ]
    }
    first = load(data)["a"].digest
    data["set"][0]["version"] = 2
    assert load(data)["a"].digest == first
    data["set"][0]["clauses"][0]["grade"] = "non_strict"  # type: ignore[index]
    assert load(data)["a"].digest != first


@pytest.mark.parametrize(
    "clause",
    [
        {"id": "x", "kind": "nonsense", "grade": "pass", "says": ""},
        {"id": "x", "kind": "fin", "code": "NO_SUCH_CODE", "grade": "pass", "says": ""},
        {"id": "x", "kind": "fin", "code_class": "odd", "grade": "pass", "says": ""},
        {"id": "x", "kind": "status", "status": "9xx", "grade": "pass", "says": ""},
    ],
)
def test_a_set_with_an_unknown_word_is_refused(clause: dict[str, Any]) -> None:
    members = {"deadline": "fail", "deadline_says": "", "fence": "fail", "fence_says": ""}
    entry = {"name": "a", "version": 1, "title": "", "source": "", "clauses": [clause], **members}
    with pytest.raises(SetError):
        load({"set": [entry]})


def test_the_wait_ends_where_an_event_settles() -> None:
    stream = {"stream": 8}

    def waits(name: str, params: dict[str, Any], text: str) -> bool:
        return more_needed(name, params, reactions(text)[0])

    assert waits("malformed-request", stream, "- deadline")
    assert waits("malformed-request", stream, "status S 200")  # a reset may still take it back
    assert not waits("malformed-request", stream, "status S 400")
    assert waits("stream-error", {"code": 0x10E, **stream}, "stop S 0x101")
    assert not waits("stream-error", {"code": 0x10E, **stream}, "stop S 0x101; reset S 0x10e")
    assert waits("session-gone-streams", {"streams": [8, 12]}, "reset S 0x170d7b68")
    assert not waits("session-gone-streams", {"streams": [8, 12]}, "reset S 0x170d7b68; stop X 0x170d7b68")
    assert waits("tolerated", {"session": 4}, "fin S")
    own = {"name": "ConnectionClosed", "direction": "sent", "by": "local", "error_code": 1, "frame_type": 6}
    assert not more_needed("tolerated", {}, [own])


def test_parameters_are_checked() -> None:
    connection_error = reaction_set("connection-error")
    for params in ({}, {"code": None}, {"code": 1, "strean": 4}, {"code": "0x108"}, {"code": True}):
        with pytest.raises(SetError):
            connection_error.check(params)
    connection_error.check({"code": [0x106, 0x10E]})
    with pytest.raises(SetError):
        reaction_set("session-gone-streams").check({"streams": []})
    with pytest.raises(SetError):
        reaction_set("no-such-set")
    # One dictionary serves a case and its twin: names of other sets and unbound ones do no harm.
    reaction_set("tolerated").check({"code": 1, "stream": None})
    with pytest.raises(SetError):
        reaction_set("tolerated").check({"no_such": 1})


def test_sets_that_a_fence_ends() -> None:
    wanted = {
        "tolerated",
        "tolerated-large",
        "ignored",
        "datagram-dropped",
        "flood",
        "any",
        "buffered-stream-rejected",
        "connection-survives",
        "goes-on-or-ends",
    }
    assert {entry.name for entry in all_sets().values() if entry.by_absence} == wanted


def test_the_worst_of_several_streams_counts() -> None:
    events, _ = reactions("reset S 0x170d7b68")
    several = ExpectRecord(
        requirement="WT-6-05",
        level="MUST",
        set_name="session-gone-streams",
        set_version=1,
        params={"streams": [8, 12]},
        window_s=2.0,
        ended_by="deadline",
        events=events,
    )
    judged = judge_record(several)
    assert (judged.clause, judged.verdict.value) == ("deadline", "fail")
    assert "stream 12" in judged.sentence
    assert "within 2 s" in judged.sentence


def test_one_of_several_codes() -> None:
    events, _ = reactions("close app 0x10e")
    either = ExpectRecord(
        requirement="WT-6-05",
        level="MUST",
        set_name="connection-error",
        set_version=1,
        params={"code": [0x106, 0x10E]},
        events=events,
    )
    assert judge_record(either).clause == "closed"
