"""The driver: sockets, a clock and a heap of datagrams that wait; all decisions are elsewhere."""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from scenarios.network.impairment import Direction, Impairment
from scenarios.network.log import FateLog
from scenarios.network.profiles import Profile

MAX_FLOWS: Final = 256
MAX_WAITING: Final = 32_768
SOCKET_BUFFER: Final = 4 << 20
# Datagrams taken from one socket before the others get their turn.
BATCH: Final = 64
IDLE: Final = 0.25


@dataclass(slots=True)
class _Flow:
    """One client address, with its socket towards the server."""

    number: int
    client: tuple[object, ...]
    upstream: socket.socket
    up: Impairment
    down: Impairment
    # After a rebinding the old socket stays for a while: what the server sends there is lost, not refused.
    former: socket.socket | None = None


@dataclass(order=True, slots=True)
class _Waiting:
    release: float
    order: int
    flow: _Flow = field(compare=False)
    direction: Direction = field(compare=False)
    data: bytes = field(compare=False)


class Relay:
    """Relays UDP between clients and one server under a profile.

    Args:
        profile: the conditions; each client address is a flow of its own.
        seed: decides the fates together with the number of the flow.
        listen: address for the clients; port 0 takes a free one, :attr:`address` tells it.
        to: address of the server.
        log: receives the fate of each datagram.

    Raises:
        OSError: an address cannot be resolved or bound.
    """

    def __init__(
        self, profile: Profile, seed: int, listen: tuple[str, int], to: tuple[str, int], log: FateLog
    ) -> None:
        resolved = socket.getaddrinfo(*to, type=socket.SOCK_DGRAM)[0]
        self._family, self._target = resolved[0], resolved[4]
        self._profile, self._seed, self._log = profile, seed, log
        self._listener = self._socket()
        self._listener.bind(listen)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._flows: dict[tuple[object, ...], _Flow] = {}
        self._numbers = itertools.count()
        self._orders = itertools.count()
        self._waiting: list[_Waiting] = []
        self._start = time.monotonic()

    @property
    def address(self) -> tuple[str, int]:
        """Where clients send to."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def watch(self, file: int, ready: Callable[[], None]) -> None:
        """Call ``ready`` whenever a file descriptor becomes readable."""
        self._selector.register(file, selectors.EVENT_READ, ready)

    def unwatch(self, file: int) -> None:
        """Undo :meth:`watch`."""
        self._selector.unregister(file)

    def step(self) -> None:
        """Wait for the next datagram or release (at most a quarter of a second) and handle what is due."""
        timeout = IDLE
        if self._waiting:
            timeout = min(max(self._waiting[0].release - self._now(), 0.0), IDLE)
        for key, _ in self._selector.select(timeout):
            match key.data:
                case None:
                    self._receive_from_clients()
                case _Flow() as flow:
                    self._receive_from_server(flow, key.fileobj)
                case ready:
                    ready()
        self._release()

    def close(self) -> None:
        """Close all sockets and write the end of the log."""
        while self._flows:
            self._close_flow(self._flows.popitem()[1])
        self._listener.close()
        self._selector.close()
        self._log.close()

    def _now(self) -> float:
        return time.monotonic() - self._start

    def _socket(self) -> socket.socket:
        result = socket.socket(self._family, socket.SOCK_DGRAM)
        result.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            result.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        return result

    def _upstream(self, flow_number: int) -> socket.socket:
        result = self._socket()
        result.connect(self._target)
        self._log.event("address", flow_number, self._now(), port=result.getsockname()[1])
        return result

    def _flow(self, client: tuple[object, ...]) -> _Flow:
        flow = self._flows.get(client)
        if flow is not None:
            return flow
        if len(self._flows) == MAX_FLOWS:
            self._close_flow(self._flows.pop(next(iter(self._flows))))
        number = next(self._numbers)
        up, down = (Impairment(self._profile, self._seed, number, each) for each in Direction)
        flow = self._flows[client] = _Flow(number, client, self._upstream(number), up, down)
        self._selector.register(flow.upstream, selectors.EVENT_READ, flow)
        return flow

    def _close_flow(self, flow: _Flow) -> None:
        for each in (flow.upstream, flow.former):
            if each is not None:
                self._selector.unregister(each)
                each.close()

    def _rebind(self, flow: _Flow) -> None:
        if flow.former is not None:
            self._selector.unregister(flow.former)
            flow.former.close()
        flow.former, flow.upstream = flow.upstream, self._upstream(flow.number)
        self._selector.register(flow.upstream, selectors.EVENT_READ, flow)

    def _receive_from_clients(self) -> None:
        for _ in range(BATCH):
            try:
                data, client = self._listener.recvfrom(65536)
            except OSError:
                return
            flow = self._flow(client)
            self._decide(flow, flow.up, Direction.UP, data)

    def _receive_from_server(self, flow: _Flow, source: object) -> None:
        assert isinstance(source, socket.socket)
        for _ in range(BATCH):
            try:
                data = source.recv(65536)
            except OSError:
                # Nothing left, or the server is not there: the client finds out as it would without a relay.
                return
            if source is flow.former:
                self._log.event("old-address", flow.number, self._now(), size=len(data))
            else:
                self._decide(flow, flow.down, Direction.DOWN, data)

    def _decide(self, flow: _Flow, impairment: Impairment, direction: Direction, data: bytes) -> None:
        now = self._now()
        fate = impairment.decide(len(data), now)
        self._log.fate(flow.number, now, fate)
        if fate.rebind:
            self._rebind(flow)
        for release in fate.releases:
            if len(self._waiting) == MAX_WAITING:
                self._log.event("queue-full", flow.number, now)
                return
            heapq.heappush(self._waiting, _Waiting(release, next(self._orders), flow, direction, data))

    def _release(self) -> None:
        while self._waiting and self._waiting[0].release <= self._now():
            due = heapq.heappop(self._waiting)
            try:
                if due.direction is Direction.UP:
                    due.flow.upstream.send(due.data)
                else:
                    self._listener.sendto(due.data, due.flow.client)
            except OSError as error:
                self._log.event("not-sent", due.flow.number, self._now(), error=error.strerror)
