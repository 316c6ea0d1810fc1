"""The published JSON Schemas (2020-12) and a helper that applies them.

=============== ===========================================================================
results         results.json
evidence        evidence/*.json
record          one record of the evidence
event           one line of events.ndjson
replay          replay file of a case, scenario or finding
deviants        the kill matrix, ``wtconform deviants --format json``
=============== ===========================================================================
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

NAMES = ("results", "evidence", "record", "event", "replay", "deviants")
MAX_PROBLEMS = 20


class SchemaError(ValueError):
    """A value does not keep to its schema; the text names the places."""


def schema(name: str) -> dict[str, Any]:
    """Return the schema of that name (one of ``NAMES``)."""
    text = files("reports.schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator(name: str) -> Draft202012Validator:
    resources = [(item["$id"], Resource.from_contents(item)) for item in map(schema, NAMES)]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator(schema(name), registry=registry)


def problems(name: str, value: object) -> list[str]:
    """Return what is wrong with the value, one line for each problem, bounded; empty where nothing is."""
    found = []
    for error in _validator(name).iter_errors(value):
        found.append(_line(error))
        if len(found) == MAX_PROBLEMS:
            found.append("and more")
            break
    return found


def _line(error: ValidationError) -> str:
    message = error.message if len(error.message) <= 200 else f"{error.message[:200]}…"
    return f"{error.json_path}: {message}"


def validate(name: str, value: object) -> None:
    """Raise SchemaError where the value does not keep to the schema of that name."""
    found = problems(name, value)
    if found:
        raise SchemaError(f"not a valid {name}: " + "; ".join(found))
