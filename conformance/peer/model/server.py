"""The model server as a host: connections, their engines, and the timers of applications."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final

from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.events import EventHandler, WireEvent
from conformance.peer.model.behaviour import Behaviour
from conformance.peer.model.endpoints import Endpoints
from conformance.peer.model.engine import Connection
from conformance.peer.quic import certificates
from conformance.peer.quic.certificates import Certificate
from conformance.peer.quic.connection import QuicPeer
from conformance.peer.quic.options import Address, QuicOptions
from conformance.peer.quic.server import ServerHost

MAX_TIMERS: Final = 100_000
MAX_VIOLATIONS: Final = 10_000


class ServerContext:
    """What the connections of one server share: endpoints, clock and timers."""

    def __init__(self) -> None:
        self.endpoints = Endpoints()
        self.connections: list[Connection] = []
        self.violations: list[str] = []
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def schedule(self, delay: float, action: Callable[[], None]) -> None:
        """Run ``action`` after ``delay`` seconds."""
        if len(self._timers) < MAX_TIMERS:
            self._count += 1
            heapq.heappush(self._timers, (self.now + delay, self._count, action))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Run ``action`` at once without a delay, else later."""
        if delay:
            self.schedule(delay, action)
        else:
            action()

    def next_timer(self) -> float | None:
        """Return the time of the next action."""
        return self._timers[0][0] if self._timers else None

    def run_timers(self, now: float) -> None:
        """Run what is due."""
        self.now = max(self.now, now)
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def note_violation(self, name: str) -> None:
        """Keep the name of a broken rule, for tests and diagnosis."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(name)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that is over."""
        if connection in self.connections:
            self.connections.remove(connection)


class ModelServer:
    """A strict WebTransport server without faults, or with those of its ``behaviour``.

    It is a Host for any link. ``certificate`` defaults to a short-lived self-signed one for localhost.
    ``handler`` sees the wire events of all connections.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        drafts: Sequence[Draft] | frozenset[Draft] = DRAFTS,
        *,
        certificate: Certificate | None = None,
        retry: bool = False,
        handler: EventHandler | None = None,
    ) -> None:
        self.behaviour = behaviour or Behaviour(tuple(drafts))
        self.certificate = certificate or certificates.cached()
        self.context = ServerContext()
        self._handler = handler
        fields = {
            "is_client": False,
            "certificate": self.certificate.certificate,
            "private_key": self.certificate.private_key,
            **self.behaviour.quic_options(),
        }
        self.host = ServerHost(QuicOptions(**fields), self._accept, retry=retry)

    def _accept(self, quic: QuicPeer) -> EventHandler:
        connection = Connection(quic, self.behaviour, self.context)
        self.context.connections.append(connection)
        if self._handler is None:
            return connection.handle
        outer = self._handler

        def handle(event: WireEvent) -> None:
            outer(event)
            connection.handle(event)

        return handle

    def shut_down(self) -> None:
        """Close all connections gracefully: GOAWAY, then as the clients finish (draft-16 §6)."""
        for connection in list(self.context.connections):
            connection.shut_down()

    # --- Host ---

    def receive(self, data: bytes, address: Address, now: float) -> None:
        """Take a UDP payload."""
        self.context.now = now
        self.host.receive(data, address, now)

    def pending(self, now: float) -> list[tuple[bytes, Address]]:
        """Return the UDP payloads to send now."""
        return self.host.pending(now)

    def timer(self) -> float | None:
        """Return when handle_timer has to be called."""
        moments = [at for at in (self.host.timer(), self.context.next_timer()) if at is not None]
        return min(moments, default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due."""
        self.context.run_timers(now)
        self.host.handle_timer(now)
