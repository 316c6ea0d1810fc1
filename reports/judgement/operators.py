"""The comparisons of a check, as a table."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda observed, expected: observed in expected,
    "not in": lambda observed, expected: observed not in expected,
    "contains": lambda observed, expected: expected in observed,
    "not contains": lambda observed, expected: expected not in observed,
    "starts with": lambda observed, expected: observed[: len(expected)] == expected,
    "is": lambda observed, expected: bool(observed) is bool(expected),
}


def holds(name: str, observed: Any, expected: Any) -> bool:
    """Tell whether ``observed NAME expected``.

    Raises KeyError for an unknown operator, TypeError where the values cannot be compared.
    """
    return bool(_HOLDS[name](observed, expected))
