"""``/webtransport/devious-baton``: the baton machine as an application of the model server.

Beside the parameters of the draft it knows test switches, which the draft leaves to a server: ``padding=N``
(bytes of padding in each message of the server), ``lies=0,3`` (ordinals of the server's messages that are cut
and reset with I_LIED) and ``disinterest=1`` (ordinals of the client's streams that are stopped with IDC).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from conformance.peer.baton import (
    BatonMachine,
    CloseSession,
    Move,
    OpenStream,
    Options,
    Refusal,
    Reply,
    ResetStream,
    Role,
    SendDatagram,
    StopStream,
    Stream,
    StreamError,
    read_query,
)
from conformance.peer.baton import Parameters as BatonParameters
from conformance.peer.model.application import Accept, Application, Refuse
from conformance.peer.model.parameters import MAX_BYTES, InvalidParameter, Parameters

if TYPE_CHECKING:
    from conformance.peer.model.engine import Connection
    from conformance.peer.model.fields import Request
    from conformance.peer.model.sessions import Session
    from conformance.peer.model.streams import WtStream

MAX_ORDINALS: Final = 64


class BatonBehaviour:
    """What the endpoint decides, as hooks like those of ``Behaviour``; a deviant replaces some."""

    def __init__(self) -> None:
        self.capacity = 256
        # Seconds without anything from the client after which the server closes with BORED.
        self.bored_after = 10.0
        self.refusal_status = 400

    def read(self, query: list[tuple[str, str]]) -> BatonParameters | Refusal:
        """Read the query of a session request (draft-frindell-webtrans-devious-baton-00 §3.1)."""
        return read_query(query, self.capacity)

    def machine(self, parameters: BatonParameters, options: Options) -> BatonMachine:
        """Return the machine of a session."""
        return BatonMachine(Role.SERVER, parameters, options, random.Random())


class Baton(Application):
    """Carries out the moves of a machine."""

    def __init__(self, machine: BatonMachine, bored_after: float) -> None:
        self._machine = machine
        self._bored_after = bored_after
        self._heard = 0.0
        self._streams: dict[int, Stream] = {}
        self._wire: dict[Stream, WtStream] = {}

    def started(self, session: Session) -> None:
        """Send the initial messages."""
        super().started(session)
        self._hear()
        self._watch(self._bored_after)
        self._perform(self._machine.start())

    def stream_opened(self, stream: WtStream) -> None:
        """Take a stream of the client."""
        known, moves = self._machine.accept(bidirectional=not stream.unidirectional)
        self._join(known, stream)
        self._perform(moves)

    def stream_data(self, stream: WtStream, data: bytes) -> None:
        """Feed a part of a message."""
        self._hear()
        self._perform(self._machine.receive(self._streams[stream.id], data, end_stream=False))

    def stream_end(self, stream: WtStream) -> None:
        """Feed the end of a message."""
        self._hear()
        self._perform(self._machine.receive(self._streams[stream.id], b"", end_stream=True))

    def stream_reset(self, stream: WtStream, code: int | None) -> None:
        """Give up the baton of a stream."""
        self._hear()
        self._perform(self._machine.reset(self._streams[stream.id]))

    def stream_stop(self, stream: WtStream, code: int | None) -> None:
        """Give up the baton that could not be sent; QUIC has sent the reset with ``stop_answer``."""
        self._hear()
        self._perform(self._machine.stopped(self._streams[stream.id], unsent=True))

    def stop_answer(self, stream: WtStream, code: int | None) -> int:
        """Answer STOP_SENDING with WHATEVER (§4.6)."""
        return StreamError.WHATEVER

    def datagram(self, payload: bytes) -> None:
        """Feed a datagram."""
        self._hear()
        self._perform(self._machine.datagram(payload))

    def closed(self, code: int | None, reason: str | None, *, clean: bool) -> None:
        """End the machine."""
        self._machine.peer_closed()

    def _perform(self, moves: list[Move]) -> None:
        for move in moves:
            match move:
                case OpenStream():
                    self._open(move)
                case Reply():
                    self._wire[move.stream].write(move.data, end=move.finish)
                case SendDatagram():
                    self.session.send_datagram(move.data)
                case ResetStream():
                    if move.stream in self._wire:
                        self._wire[move.stream].abort(move.code)
                case StopStream():
                    self._wire[move.stream].stop_reading(move.code)
                case CloseSession():
                    self._close(move)

    def _open(self, move: OpenStream) -> None:
        unidirectional = not move.stream.bidirectional
        if not self.session.can_open(unidirectional=unidirectional):
            self._perform(self._machine.no_credit())
            return

        def ready(stream: WtStream) -> None:
            self._join(move.stream, stream)
            stream.write(move.data, end=move.finish)

        self.session.open_stream(unidirectional=unidirectional, ready=ready)

    def _close(self, move: CloseSession) -> None:
        if move.code is None:
            self.session.finish()
        else:
            self.session.close(move.code, move.code.name)

    def _join(self, known: Stream, stream: WtStream) -> None:
        self._streams[stream.id] = known
        self._wire[known] = stream

    def _hear(self) -> None:
        self._heard = self.session.connection.server.now

    def _watch(self, delay: float) -> None:
        """Look again when the client could have bored this server."""
        self.session.connection.server.schedule(delay, self._look)

    def _look(self) -> None:
        if not self.session.open:
            return
        left = self._heard + self._bored_after - self.session.connection.server.now
        if left > 0:
            self._watch(left)
        else:
            self._perform(self._machine.tired())


def baton(connection: Connection, request: Request, parameters: Parameters) -> Accept | Refuse:
    """Decide about a session request: 4xx for what the draft calls invalid (§3.1)."""
    behaviour = connection.behaviour.baton
    asked = behaviour.read(request.query)
    if isinstance(asked, Refusal):
        return Refuse(behaviour.refusal_status)
    padding = parameters.number("padding", most=MAX_BYTES)
    options = Options(
        padding=lambda _value: padding,
        lies=_ordinals(parameters, "lies"),
        disinterest=_ordinals(parameters, "disinterest"),
    )
    return Accept(Baton(behaviour.machine(asked, options), behaviour.bored_after))


def _ordinals(parameters: Parameters, name: str) -> frozenset[int]:
    words = (parameters.text(name) or "").split(",", MAX_ORDINALS)
    numbers = [word for word in words if word]
    if any(not (word.isascii() and word.isdigit() and len(word) < 10) for word in numbers):
        raise InvalidParameter(name)
    return frozenset(int(word) for word in numbers)
