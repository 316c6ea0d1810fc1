"""Deviants: servers with exactly one declared fault each. They test the suite.

A case that has never failed proves nothing. ``wtconform deviants`` plays the cases against the
deviants and says which case kills which, what survives, and what changes that should not.
"""

from __future__ import annotations

from functools import cache

from conformance.deviants.definition import Deviant, registry
from conformance.deviants.load import load_deviants
from conformance.harness.case import Case

__all__ = ["Deviant", "all_deviants", "deviants_of"]


@cache
def all_deviants() -> tuple[Deviant, ...]:
    """Return all deviants, ordered by identifier."""
    load_deviants()
    return tuple(sorted(registry.values(), key=lambda deviant: deviant.id))


def deviants_of(case: Case) -> list[Deviant]:
    """Return the deviants whose fault concerns a requirement of the case, in a draft of the case."""
    return [
        deviant
        for deviant in all_deviants()
        if set(deviant.requirements) & set(case.requirements) and set(deviant.drafts) & set(case.drafts)
    ]
