"""Targets in memory: a server of ours behind a virtual clock, for the kill matrix and for tests."""

from __future__ import annotations

from collections.abc import Callable

from conformance.harness.embedded import CONTRACT_PATHS
from conformance.harness.openers import MemoryOpener
from conformance.harness.target import Capabilities, Target
from conformance.peer.options import PeerOptions
from conformance.peer.quic import Host, QuicOptions


def memory_target(name: str, make_host: Callable[[], Host], *, declared_draft: int | None = 16) -> Target:
    """Return a target over a network of its own; its capabilities are still to be probed."""
    opener = MemoryOpener(make_host, QuicOptions(is_client=True, server_name="localhost", insecure=True))
    return Target(
        name=name,
        opener=opener,
        endpoints=CONTRACT_PATHS,
        options=PeerOptions(),
        declared_draft=declared_draft,
    )


def full_capabilities(probed: Capabilities, known: Capabilities) -> Capabilities:
    """Return the capabilities of the fault-free server where a deviant's own probe is the fault's victim."""
    return known if not probed.drafts else probed
