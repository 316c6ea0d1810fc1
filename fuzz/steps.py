"""The JSON form of operations: the steps of a replay file (reports/schemas/replay.schema.json)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from fuzz.operations import OPERATIONS, Operation, Script

MAX_STEPS = 10_000


class OperationError(ValueError):
    """The JSON form of an operation is not one; the text says what is wrong."""


def to_json(operation: Operation) -> dict[str, Any]:
    """Return the step of a replay file: the operation's name and its operands, bytes in hexadecimal."""
    result: dict[str, Any] = {"operation": operation.name}
    for entry in fields(operation):
        value = getattr(operation, entry.name)
        if value == entry.default:
            continue
        result[entry.name] = value.hex() if isinstance(value, bytes) else value
        if isinstance(value, tuple):
            result[entry.name] = list(value)
    return result


def from_json(value: Mapping[str, Any]) -> Operation:
    """Read a step; raises OperationError where it is none of the vocabulary."""
    kind = OPERATIONS.get(str(value.get("operation")))
    if kind is None:
        raise OperationError(f"unknown operation {value.get('operation')!r}")
    types = {entry.name: str(entry.type) for entry in fields(kind)}
    operands: dict[str, Any] = {}
    for key, item in value.items():
        if key == "operation":
            continue
        if key not in types:
            raise OperationError(f"operation {kind.name} has no operand {key!r}")
        operands[key] = _operand(f"{kind.name}.{key}", types[key], item)
    try:
        return kind(**operands)
    except TypeError as error:
        raise OperationError(f"operation {kind.name}: {error}") from None


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "Kind": ("uni", "bidi", "data"),
    "Place": ("connect", "control"),
    "Critical": ("control", "encoder", "decoder"),
    "Carrier": ("uni", "bidi", "datagram"),
    "Ending": ("fin", "reset", "stop"),
}


def _operand(name: str, wanted: str, value: Any) -> Any:
    """Check one operand against the annotation of its field."""
    if value is None and "None" in wanted:
        return None
    if wanted.startswith("tuple"):
        if isinstance(value, list) and len(value) == 3 and all(_is_integer(item) for item in value):
            return tuple(value)
    elif wanted == "bytes":
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            pass
    elif wanted in _CHOICES:
        if value in _CHOICES[wanted]:
            return value
    elif (
        (wanted == "bool" and isinstance(value, bool))
        or (wanted.startswith("str") and isinstance(value, str))
        or (wanted.startswith("int") and _is_integer(value) and abs(value) < 1 << 62)
    ):
        return value
    raise OperationError(f"{name}: {value!r} is not of type {wanted}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def script_to_json(script: Iterable[Operation]) -> list[dict[str, Any]]:
    """Return the steps of a replay file."""
    return [to_json(operation) for operation in script]


def script_from_json(steps: Sequence[Mapping[str, Any]]) -> Script:
    """Read the steps of a replay file; raises OperationError, also where there are too many."""
    if len(steps) > MAX_STEPS:
        raise OperationError(f"{len(steps)} steps are more than {MAX_STEPS}")
    return tuple(from_json(step) for step in steps)
