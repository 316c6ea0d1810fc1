"""Targets in memory: a server of ours behind a virtual clock, for the kill matrix and for tests."""

from __future__ import annotations

from collections.abc import Callable

from conformance.harness.embedded import CONTRACT_PATHS
from conformance.harness.target import Target
from conformance.peer.openers import MemoryOpener
from conformance.peer.options import PeerOptions
from conformance.peer.quic import Host


def memory_target(name: str, make_host: Callable[[], Host], *, declared_draft: int | None = 16) -> Target:
    """Return a target over a network of its own; its capabilities are still to be probed."""
    return Target(
        name=name,
        opener=MemoryOpener(server=make_host()),
        endpoints=CONTRACT_PATHS,
        options=PeerOptions(),
        declared_draft=declared_draft,
    )
