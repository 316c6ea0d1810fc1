"""How deviants change the Devious Baton endpoint: its reading of the query, its machine, its moves."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from conformance.peer.baton import BatonMachine, Move, Options, Parameters, Role, Stream
from conformance.peer.model import Behaviour
from conformance.peer.model.baton_endpoint import BatonBehaviour

Edit = Callable[[BatonMachine, Move], list[Move]]


class EditedMachine(BatonMachine):
    """A machine whose moves pass through an edit before they are carried out."""

    edit: Edit

    def _edited(self, moves: list[Move]) -> list[Move]:
        return [result for move in moves for result in self.edit(self, move)]

    def start(self) -> list[Move]:
        """Edit the initial messages."""
        return self._edited(super().start())

    def accept(self, *, bidirectional: bool) -> tuple[Stream, list[Move]]:
        """Edit what follows from a new stream."""
        stream, moves = super().accept(bidirectional=bidirectional)
        return stream, self._edited(moves)

    def receive(self, stream: Stream, data: bytes, *, end_stream: bool) -> list[Move]:
        """Edit what follows from data."""
        return self._edited(super().receive(stream, data, end_stream=end_stream))

    def reset(self, stream: Stream) -> list[Move]:
        """Edit what follows from a reset."""
        return self._edited(super().reset(stream))

    def stopped(self, stream: Stream, *, unsent: bool = False) -> list[Move]:
        """Edit what follows from STOP_SENDING."""
        return self._edited(super().stopped(stream, unsent=unsent))

    def datagram(self, data: bytes) -> list[Move]:
        """Edit what follows from a datagram."""
        return self._edited(super().datagram(data))

    def no_credit(self) -> list[Move]:
        """Edit what follows from too few streams."""
        return self._edited(super().no_credit())


def edit(behaviour: Behaviour, change: Edit, machine: type[EditedMachine] = EditedMachine) -> None:
    """Let the machines of a behaviour's endpoint pass their moves through ``change``."""

    class Edited(machine):  # type: ignore[misc, valid-type]
        pass

    Edited.edit = staticmethod(change)
    play_with(behaviour, Edited)


def play_with(behaviour: Behaviour, machine: type[BatonMachine], **options: Any) -> None:
    """Let the endpoint of a behaviour play with another machine, or with other options."""

    class Faulty(BatonBehaviour):
        def machine(self, parameters: Parameters, given: Options) -> BatonMachine:
            return machine(Role.SERVER, parameters, replace(given, **options), random.Random(1))

    behaviour.baton = Faulty()


def reading(behaviour: Behaviour, change: Callable[[dict[str, str]], None]) -> None:
    """Let the endpoint of a behaviour read a query that ``change`` has edited."""

    class Careless(BatonBehaviour):
        def read(self, query: list[tuple[str, str]]) -> Any:
            values = dict(query)
            change(values)
            return super().read(list(values.items()))

    behaviour.baton = Careless()
