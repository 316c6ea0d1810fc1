"""The vocabulary: every operation has a JSON form that gives it back; what is none is refused."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import operations as op
from fuzz.steps import MAX_STEPS, OperationError, from_json, script_from_json, script_to_json
from reports.schemas import validate

_INTEGERS = st.integers(-(1 << 61), 1 << 61)
_VALUES = {
    "bytes": st.binary(max_size=20),
    "bool": st.booleans(),
    "int": _INTEGERS,
    "int | None": st.none() | _INTEGERS,
    "str": st.text(max_size=10),
    "str | None": st.none() | st.text(max_size=10),
    "tuple[int, int, int] | None": st.none() | st.tuples(_INTEGERS, _INTEGERS, _INTEGERS),
    "Kind": st.sampled_from(["uni", "bidi", "data"]),
    "Place": st.sampled_from(["connect", "control"]),
    "Critical": st.sampled_from(["control", "encoder", "decoder"]),
    "Carrier": st.sampled_from(["uni", "bidi", "datagram"]),
    "Ending": st.sampled_from(["fin", "reset", "stop"]),
}


def _operations() -> st.SearchStrategy[op.Operation]:
    return st.one_of(
        st.builds(kind, **{entry.name: _VALUES[str(entry.type)] for entry in fields(kind)})
        for kind in op.OPERATIONS.values()
    )


@given(st.lists(_operations(), max_size=5))
@settings(deadline=None)
def test_json_gives_the_script_back(script: list[op.Operation]) -> None:
    assert script_from_json(script_to_json(script)) == tuple(script)


@given(
    st.dictionaries(
        st.sampled_from(["operation", "stream", "data", "code"]), st.none() | _INTEGERS | st.text()
    )
)
def test_arbitrary_steps_are_read_or_refused(value: dict[str, object]) -> None:
    try:
        operation = from_json(value)
    except OperationError:
        return
    assert isinstance(operation, op.Operation)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"operation": "explode"},
        {"operation": "send"},
        {"operation": "send", "stream": True},
        {"operation": "send", "stream": 1, "data": "zz"},
        {"operation": "send", "stream": 1, "colour": 1},
        {"operation": "limit", "kind": "cars", "value": 1},
        {"operation": "connect", "limits": [1, 2]},
        {"operation": "send", "stream": 1 << 62},
    ],
)
def test_what_is_no_step(value: dict[str, object]) -> None:
    with pytest.raises(OperationError):
        from_json(value)


def test_too_many_steps() -> None:
    with pytest.raises(OperationError):
        script_from_json([{"operation": "fence"}] * (MAX_STEPS + 1))


def test_count_leaves_the_framework_out() -> None:
    script = (op.Connect(), op.Establish(), op.Datagram(b"x"), op.Fence(), op.Delay(1), op.Drain())
    assert op.counted(script) == 2


def test_steps_fit_the_schema() -> None:
    steps = script_to_json([op.Connect((1, 2, 3)), op.Establish(), op.OpenStream(0, data=b"\xff")])
    validate(
        "replay",
        {
            "format": "wtconform-replay", "version": 1, "kind": "finding", "id": "x", "draft": "16",
            "target": {}, "seed": None, "steps": steps,
            "expected": {"verdict": "fail", "signature": "x", "reaction": ""},
        },
    )  # fmt: skip
