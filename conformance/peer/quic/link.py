"""What drives connections: a host has datagrams and timers, a link moves them and keeps the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from conformance.peer.quic.options import Address


class Host(Protocol):
    """One connection or many, sans-I/O. ``now`` is in seconds on the link's clock."""

    def receive(self, data: bytes, address: Address, now: float) -> None:
        """Take a UDP payload from ``address``."""

    def pending(self, now: float) -> list[tuple[bytes, Address]]:
        """Return the UDP payloads to send now."""

    def timer(self) -> float | None:
        """Return when handle_timer has to be called; None for never."""

    def handle_timer(self, now: float) -> None:
        """Do what is due."""


class Link(Protocol):
    """Moves datagrams between hosts, over a network or in memory."""

    def now(self) -> float:
        """Return the time of the link's clock, in seconds."""

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Pump until ``done()`` holds or ``timeout`` seconds passed; return whether it held.

        What is queued is sent at least once, also where ``done()`` holds from the start.
        """

    def close(self) -> None:
        """Release sockets and the like; the hosts are left as they are."""
