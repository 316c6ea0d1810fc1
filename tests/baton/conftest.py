"""Two baton machines against each other over a wire that delivers in any order, each judged by a checker."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import pytest

from conformance.peer.baton import (
    BatonMachine,
    Checker,
    CloseSession,
    Move,
    OpenStream,
    Options,
    Parameters,
    Reply,
    ResetStream,
    Role,
    SendDatagram,
    StopStream,
    Stream,
)

OTHER = {Role.SERVER: Role.CLIENT, Role.CLIENT: Role.SERVER}
Delivery: TypeAlias = Callable[[], list[Move]]


class Pair:
    """A session between two machines.

    Each direction of a stream is a queue of its own; ``seed`` decides which queue is next, how messages are
    cut and which datagrams get lost. ``checkers`` judge the role that is their key.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        server: Options | None = None,
        client: Options | None = None,
        seed: int = 0,
    ) -> None:
        self.chance = random.Random(seed)
        self.machines = {
            Role.SERVER: BatonMachine(Role.SERVER, parameters, server, self.chance),
            Role.CLIENT: BatonMachine(Role.CLIENT, parameters, client, self.chance),
        }
        self.checkers = {role: Checker(role, parameters) for role in Role}
        self.messages = 0
        self.datagrams: list[tuple[Role, int]] = []
        self.codes: list[tuple[Role, str, object]] = []
        self._streams: dict[Role, dict[int, Stream]] = {role: {} for role in Role}
        self._keys: dict[Stream, int] = {}
        self._queues: dict[object, deque[tuple[Role, Delivery]]] = {}

    def run(self) -> Pair:
        """Play until nothing moves any more."""
        self.perform(Role.SERVER, self.machines[Role.SERVER].start())
        while self._queues:
            key = self.chance.choice(list(self._queues))
            receiver, deliver = self._queues[key].popleft()
            if not self._queues[key]:
                del self._queues[key]
            self.perform(receiver, deliver())
        return self

    def perform(self, role: Role, moves: list[Move]) -> None:
        """Carry out what a machine wants."""
        for move in moves:
            match move:
                case OpenStream():
                    self.open(role, move)
                case Reply():
                    self.send(role, self._keys[move.stream], move.data, finish=move.finish)
                case SendDatagram():
                    self.datagrams.append((role, move.value))
                    self.datagram(role, move.data)
                case ResetStream():
                    self.codes.append((role, "reset", move.code))
                    self._reset(role, self._keys[move.stream], move.code)
                case StopStream():
                    self.codes.append((role, "stop", move.code))
                    self._stop(role, self._keys[move.stream], move.code)
                case CloseSession():
                    self.codes.append((role, "close", move.code))
                    self._close(role, move.code)

    def open(self, role: Role, move: OpenStream) -> None:
        """Open a stream and send the message on it."""
        key = len(self._keys)
        self._keys[move.stream] = key
        self._streams[role][key] = move.stream
        bidirectional, peer = move.stream.bidirectional, OTHER[role]
        self.checkers[peer].we_opened(key, bidirectional=bidirectional)

        def deliver() -> list[Move]:
            self.checkers[role].opened(key, bidirectional=bidirectional)
            stream, moves = self.machines[peer].accept(bidirectional=bidirectional)
            self._streams[peer][key] = stream
            self._keys[stream] = key
            return moves

        self._queue((key, role), peer, deliver)
        self.send(role, key, move.data, finish=move.finish)

    def send(self, role: Role, key: int, data: bytes, *, finish: bool) -> None:
        """Send bytes in pieces."""
        self.messages += finish
        peer = OTHER[role]
        self.checkers[peer].we_sent(key, data, end_stream=finish)
        cut = self.chance.randint(0, len(data))
        for piece, end in ((data[:cut], False), (data[cut:], finish)):

            def deliver(piece: bytes = piece, end: bool = end) -> list[Move]:
                self.checkers[role].received(key, piece, end_stream=end)
                return self.machines[peer].receive(self._streams[peer][key], piece, end_stream=end)

            self._queue((key, role), peer, deliver)

    def datagram(self, role: Role, data: bytes) -> None:
        """Send a datagram; one of four gets lost."""
        peer = OTHER[role]
        self.checkers[peer].we_sent_datagram(data)

        def deliver() -> list[Move]:
            self.checkers[role].received_datagram(data)
            return self.machines[peer].datagram(data)

        if self.chance.random() < 0.75:
            self._queue(("datagram", role, len(self._queues)), peer, deliver)

    def _reset(self, role: Role, key: int, code: int) -> None:
        peer = OTHER[role]
        self.checkers[peer].we_reset(key)

        def deliver() -> list[Move]:
            self.checkers[role].was_reset(key, code)
            return self.machines[peer].reset(self._streams[peer][key])

        self._queue((key, role), peer, deliver)

    def _stop(self, role: Role, key: int, code: int) -> None:
        peer = OTHER[role]
        self.checkers[peer].we_stopped(key)

        def deliver() -> list[Move]:
            self.checkers[role].was_stopped(key, code)
            return self.machines[peer].stopped(self._streams[peer][key])

        self._queue((key, role, "stop"), peer, deliver)

    def _close(self, role: Role, code: int | None) -> None:
        peer = OTHER[role]
        self.checkers[peer].we_closed()

        def deliver() -> list[Move]:
            self.checkers[role].was_closed(code)
            self.machines[peer].peer_closed()
            return []

        self._queue(("close", peer), peer, deliver)

    def _queue(self, key: object, receiver: Role, delivery: Delivery) -> None:
        self._queues.setdefault(key, deque()).append((receiver, delivery))

    def violations(self) -> list[str]:
        """Everything that the checkers of both sides found."""
        return [
            f"{role.name}: {found.requirement} {found.text}"
            for role, checker in self.checkers.items()
            for found in checker.finish()
        ]


@pytest.fixture(scope="session")
def pair() -> type[Pair]:
    return Pair
