"""Shrinking a script by deleting and simplifying operations, after Hypothesis has had its turn.

Hypothesis shrinks the choices that made the script; a live target is not always as repeatable as it needs,
and may be slow. This pass works on the script itself, and keeps whatever still shows the same violation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Final

from fuzz import operations as op

# Tells whether a script still shows the violation.
Check = Callable[[op.Script], bool]

_FIXED: Final = (op.Connect, op.Establish)
# Operands that say nothing essential, with the plainest value; tried one after the other.
_PLAIN: Final[dict[str, tuple[Any, ...]]] = {
    "pieces": (1,),
    "id_length": (None,),
    "data": (b"", b"a"),
    "payload": (b"", b"\0"),
    "value": (b"",),
    "reason": (b"",),
    "excess": (1,),
}


def minimise(script: op.Script, check: Check, *, stop: Callable[[], bool] = lambda: False) -> op.Script:
    """Return a script that ``check`` still accepts, as short and plain as it gets before ``stop()``."""
    script = _without_chunks(script, check, stop)
    return _plainer(script, check, stop)


def _without_chunks(script: op.Script, check: Check, stop: Callable[[], bool]) -> op.Script:
    size = max(1, len(script) // 2)
    while True:
        removed = False
        position = len(script)
        while position > 0 and not stop():
            start = max(0, position - size)
            chunk = script[start:position]
            kept = tuple(item for item in chunk if isinstance(item, _FIXED))
            candidate = script[:start] + kept + script[position:]
            if len(candidate) < len(script) and check(candidate):
                script, removed = candidate, True
            position = start
        if stop() or (size == 1 and not removed):
            return script
        size = max(1, size // 2)


def _plainer(script: op.Script, check: Check, stop: Callable[[], bool]) -> op.Script:
    for position in range(len(script)):
        for plain in _simplifications(script[position]):
            if stop():
                return script
            candidate = (*script[:position], plain, *script[position + 1 :])
            if check(candidate):
                script = candidate
                break
    return script


def _simplifications(operation: op.Operation) -> Iterator[op.Operation]:
    """Yield plainer forms, the plainest first: all operands at once, then single ones."""
    changes: dict[str, Any] = {}
    for entry in fields(operation):
        value = getattr(operation, entry.name)
        plain = _PLAIN.get(entry.name, ())
        fits = entry.name == "id_length" or any(type(value) is type(item) for item in plain)
        if fits and plain and value not in plain:
            changes[entry.name] = plain[0]
    if len(changes) > 1:
        yield replace(operation, **changes)
    for name, value in changes.items():
        yield replace(operation, **{name: value})
