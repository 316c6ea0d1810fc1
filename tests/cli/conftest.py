"""A model server for all tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.harness.embedded import Embedded


@pytest.fixture(scope="session")
def model() -> Iterator[Embedded]:
    """A model server in a process of its own, with a certificate of its own."""
    with Embedded("model") as server:
        yield server
