"""A network in memory with a virtual clock: any number of hosts, deterministic, without waiting."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TypeAlias

from conformance.peer.quic.link import Host
from conformance.peer.quic.options import Address

DEFAULT_DELAY = 0.005
# A host whose timer stays due after it was handled gets its next turn this much later.
MIN_STEP = 0.000001

# Called with (payload, source, destination, time): the delays of the copies that arrive, () for a loss.
Fate: TypeAlias = Callable[[bytes, Address, Address, float], Sequence[float]]


class MemoryNetwork:
    """Delivers datagrams between attached hosts after a one-way delay in virtual seconds.

    Same hosts, same actions: same order of events and same times. ``fate`` decides about every
    datagram (loss, reordering, duplication). Datagrams to an unknown address are dropped.
    """

    def __init__(self, *, delay: float = DEFAULT_DELAY, fate: Fate | None = None) -> None:
        self.delay = delay
        self.fate = fate
        self.datagrams = 0
        self._now = 0.0
        self._hosts: dict[Address, Host] = {}
        self._flight: list[tuple[float, int, Address, Address, bytes]] = []

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def attach(self, host: Host, address: Address) -> None:
        """Connect a host under an address; a host that is attached again has moved there."""
        self._hosts = {key: value for key, value in self._hosts.items() if value is not host}
        self._hosts[address] = host

    def detach(self, host: Host) -> None:
        """Disconnect a host; what is under way to it is dropped."""
        self._hosts = {key: value for key, value in self._hosts.items() if value is not host}

    def link(self, host: Host) -> MemoryLink:
        """Return a link in the view of one host; running it runs the whole network."""
        return MemoryLink(self, host)

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Run until ``done()`` holds or ``timeout`` virtual seconds passed; return whether it held."""
        deadline = self._now + timeout
        while True:
            self._flush()
            if done():
                return True
            self._flush()  # done() may have queued something
            moment = self._next_moment()
            if moment is None or moment > deadline:
                self._now = max(self._now, deadline)
                return done()
            self._advance(moment)

    def _flush(self) -> None:
        for source, host in list(self._hosts.items()):
            for data, destination in host.pending(self._now):
                delays = (
                    (self.delay,) if self.fate is None else self.fate(data, source, destination, self._now)
                )
                for delay in delays:
                    self.datagrams += 1
                    entry = (self._now + delay, self.datagrams, source, destination, data)
                    heapq.heappush(self._flight, entry)

    def _next_moment(self) -> float | None:
        moments = [at for host in self._hosts.values() if (at := host.timer()) is not None]
        # Delivery counts first: a timer that stays due must not hold the clock.
        if self._flight:
            moments.append(self._flight[0][0])
        return max(self._now, min(moments)) if moments else None

    def _advance(self, moment: float) -> None:
        stuck = moment <= self._now and not (self._flight and self._flight[0][0] <= moment)
        self._now = self._now + MIN_STEP if stuck else moment
        while self._flight and self._flight[0][0] <= self._now:
            _, _, source, destination, data = heapq.heappop(self._flight)
            host = self._hosts.get(destination)
            if host is not None:
                host.receive(data, source, self._now)
        for host in list(self._hosts.values()):
            at = host.timer()
            if at is not None and at <= self._now:
                host.handle_timer(self._now)


class MemoryLink:
    """The network as seen by one host (the ``Link`` protocol)."""

    def __init__(self, network: MemoryNetwork, host: Host) -> None:
        self.network = network
        self._host = host

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self.network.now()

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Run the whole network; see MemoryNetwork.run_until."""
        return self.network.run_until(done, timeout)

    def close(self) -> None:
        """Send what is queued, then disconnect the host."""
        self.network.run_until(lambda: True, 0.0)
        self.network.detach(self._host)
