"""Choices: servers that do otherwise than the model server, as the texts allow. They test the suite, too.

They are the counterpart of the deviants: no case may fail such a server, call it non-strict, or be unable
to judge it because of its choice.
"""

from __future__ import annotations

import importlib
from functools import cache

from conformance.deviants.choices.definition import Choice, registry

__all__ = ["Choice", "all_choices"]

MODULES = ("transport", "http3", "sessions", "flowcontrol")


@cache
def all_choices() -> tuple[Choice, ...]:
    """Return all choices, ordered by identifier."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
    return tuple(sorted(registry.values(), key=lambda item: item.id))
