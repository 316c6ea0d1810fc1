"""The published schemas: valid themselves, kept by what the package writes, and strict."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reports.judgement import Record, to_json
from reports.judgement.records import RECORD_TYPES
from reports.model import results
from reports.schemas import NAMES, SchemaError, problems, schema, validate


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"urn:wtconform:schema:{name}:1"


def test_what_the_package_builds_is_valid(samples: Any) -> None:
    meta = {"suite_version": "1", "target": "t", "draft": "16", "time": "2026-11-22T17:00:00+00:00"}
    validate("results", results(meta, [item.case for item in samples]))
    for item in samples:
        validate("evidence", item.evidence)
        validate("replay", item.replay)


def test_schema_of_records_names_the_fields_of_the_code() -> None:
    listed = {item["properties"]["record"]["const"]: item for item in schema("record")["oneOf"]}
    assert listed.keys() == RECORD_TYPES.keys()
    for name, kind in RECORD_TYPES.items():
        assert set(listed[name]["properties"]) == {"record", *(entry.name for entry in fields(kind))}


def test_problems_name_the_place_and_are_bounded(samples: Any) -> None:
    broken: Any = copy.deepcopy(samples[0].evidence)
    broken["records"][0]["phase"] = "during"
    assert any("$.records[0]" in line for line in problems("evidence", broken))
    with pytest.raises(SchemaError, match="not a valid evidence"):
        validate("evidence", broken)
    broken["requirements"] = [1] * 100
    assert len(problems("evidence", broken)) <= 21


LINES: list[dict[str, Any]] = [
    {"type": "run", "meta": {}},
    {
        "type": "event",
        "case": "a.b",
        "draft": "16",
        "connection": "case",
        "event": {"time": 0.1, "direction": "sent", "layer": "h3", "name": "Goaway", "stream_id": 3},
    },
]


@pytest.mark.parametrize("line", LINES)
def test_event_lines(line: dict[str, Any]) -> None:
    validate("event", line)
    assert problems("event", {**line, "more": 1})


def test_record_line() -> None:
    kind = RECORD_TYPES["note"]
    record: Record = kind(text="x")  # type: ignore[call-arg]
    validate("event", {"type": "record", "case": "a.b", "draft": "16", "record": to_json(record)})


@pytest.mark.parametrize("kind", ["case", "scenario", "finding"])
def test_one_replay_format_for_all(kind: str) -> None:
    replay = {
        "format": "wtconform-replay",
        "version": 1,
        "kind": kind,
        "id": "sessions.1",
        "draft": "16",
        "target": {"url": "https://localhost:4433/"},
        "seed": 7,
        "steps": [{"operation": "open_stream", "unidirectional": True, "data": "00ff"}],
        "expected": {"verdict": "fail", "signature": "8877aa8a654ec3d8", "reaction": "silence fence"},
    }
    validate("replay", replay)
    assert problems("replay", {**replay, "steps": [{}]})
    assert problems("replay", {**replay, "kind": "story"})


def test_kill_matrix() -> None:
    matrix = {
        "deviants": [
            {
                "id": "a",
                "title": "t",
                "requirements": ["R"],
                "kill": "fail",
                "drafts": ["16"],
                "killed_by": ["a.b"],
            }
        ],
        "cases": [{"id": "a.b", "kills": ["a"], "can_fail": True}],
        "survivors": [],
        "false_kills": [{"deviant": "a", "case": "a.c", "verdict": "fail"}],
        "unkilled_cases": [],
    }
    validate("deviants", matrix)
    assert problems("deviants", {**matrix, "survivors": [1]})
