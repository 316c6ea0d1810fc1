"""The public interface of the installed package `pywebtransport`: names, kinds, parameters, defaults.

    VENV/bin/python tests/reference/read_interface.py tests/reference/api_established.json

adds to a file what the package of that environment has and the file lacks. The file was made of 0.19.1 first,
then of 0.20.1, 0.18.1 and 0.17.1: where they differ, 0.19.1 counts.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import json
import math
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = "pywebtransport"
CONTEXT = ("__aenter__", "__aexit__", "__aiter__", "__anext__", "__len__")
Facts = dict[str, Any]


def interface() -> dict[str, Facts]:
    """For each public module that has `__all__`: its names and what they are."""
    return {
        module: {name: _thing(getattr(found, name)) for name in found.__all__}
        for module in _modules()
        if hasattr(found := importlib.import_module(module), "__all__")
    }


def _modules() -> Iterator[str]:
    package = importlib.import_module(PACKAGE)
    yield PACKAGE
    for module in pkgutil.walk_packages(package.__path__, PACKAGE + "."):
        parts = module.name.split(".")
        if not any(part.startswith("_") for part in parts) and "interop" not in parts:
            yield module.name


def _thing(thing: Any) -> Facts:
    if inspect.isclass(thing) and not hasattr(thing, "__origin__"):
        return _class(thing) if thing.__module__.startswith(PACKAGE) else {"kind": "alias"}
    if inspect.isroutine(thing):
        return {"kind": "function", "call": _parameters(thing)}
    if isinstance(thing, bool | int | float | str | list):
        return {"kind": "value", "value": thing}
    return {"kind": "alias"}


def _class(thing: Any) -> Facts:
    bases = [
        base.__name__ for base in thing.__mro__ if base.__module__.startswith((PACKAGE, "enum", "builtins"))
    ]
    facts: Facts = {"kind": "class", "bases": bases[1:-1]}
    if issubclass(thing, enum.Enum):
        return {**facts, "members": {member.name: member.value for member in thing}}
    if dataclasses.is_dataclass(thing):
        facts["fields"] = {field.name: _default_of(field) for field in dataclasses.fields(thing)}
    elif not getattr(thing, "_is_protocol", False):
        facts["call"] = _parameters(thing)
    facts["attributes"] = {
        name: fact for name in dir(thing) if (fact := _attribute(thing, name, facts)) is not None
    }
    return facts


def _attribute(thing: Any, name: str, facts: Facts) -> Facts | None:
    if (name.startswith("_") and name not in CONTEXT) or name in facts.get("fields", ()):
        return None
    owner = next((base for base in thing.__mro__ if name in base.__dict__), None)
    if owner is None or not owner.__module__.startswith(PACKAGE):
        return None
    found = inspect.getattr_static(thing, name)
    if isinstance(found, property):
        return {"kind": "attribute", "settable": found.fset is not None}
    if inspect.ismemberdescriptor(found):
        return {"kind": "attribute", "settable": False}
    function = getattr(thing, name)
    if not callable(function):
        return None
    waits = inspect.iscoroutinefunction(function)
    kind = "coroutine" if waits else "generator" if inspect.isasyncgenfunction(function) else "method"
    return {"kind": kind, "call": _parameters(function)}


def _parameters(function: Callable[..., Any]) -> dict[str, list[Any]]:
    parameters = inspect.signature(function).parameters.values()
    return {
        item.name: [item.kind.name, _plain(item.default)]
        for item in parameters
        if item.name not in ("self", "cls", "args", "kwds")
    }


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is dataclasses.MISSING:
        return _plain(field.default)
    made = field.default_factory()
    return "made" if isinstance(made, float) else _plain(made)


def _plain(value: Any) -> Any:
    if value is inspect.Parameter.empty or value is dataclasses.MISSING:
        return "required"
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float) and math.isinf(value):
        return "infinite"
    return value if isinstance(value, bool | int | float | str | list | dict | None) else "made"


def merge(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """`known`, and beside it what only `found` has."""
    for key, value in found.items():
        if isinstance(value, dict) and isinstance(known.get(key), dict) and key != "call":
            merge(known[key], value)
        else:
            known.setdefault(key, value)
    return known


def main(path: Path) -> None:
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(_text(merge(known, interface())))


def _text(facts: dict[str, Facts]) -> str:
    """JSON with a line for each name."""
    modules = []
    for module, names in sorted(facts.items()):
        lines = [
            f"  {json.dumps(name)}: {json.dumps(fact, sort_keys=True)}"
            for name, fact in sorted(names.items())
        ]
        modules.append(f" {json.dumps(module)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(modules) + "\n}\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
