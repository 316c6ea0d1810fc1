"""Targets in memory for the tests of the fuzzer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.deviants import all_deviants
from conformance.harness.inmemory import memory_target
from conformance.harness.probe import probe
from conformance.harness.target import Target
from conformance.peer.drafts import DRAFTS
from conformance.peer.model import ModelServer


@pytest.fixture(scope="session")
def model() -> Target:
    """The fault-free server."""
    target = memory_target("model", ModelServer)
    return target.with_capabilities(probe(target))


@pytest.fixture
def deviant(model: Target) -> Callable[[str], Target]:
    """Make a target with one planted fault, by its identifier."""
    known = {item.id: item for item in all_deviants()}

    def make(identifier: str) -> Target:
        target = memory_target(identifier, lambda: ModelServer(known[identifier].behaviour(DRAFTS)))
        return target.with_capabilities(model.capabilities)

    return make
