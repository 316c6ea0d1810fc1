"""Plays a machine over a session of the malleable client, with a checker that judges the server.

This is the one module of the package that does I/O: it translates wire events into calls of machine and
checker, and moves into streams and datagrams. The connection must not use session flow control (no initial
limits among the client's settings), whose credit it does not count.
"""

from __future__ import annotations

from collections.abc import Callable

from conformance.peer.baton.checker import Checker, Violation
from conformance.peer.baton.machine import BatonMachine, Options, Role, Stream
from conformance.peer.baton.moves import (
    CloseSession,
    Move,
    OpenStream,
    Reply,
    ResetStream,
    SendDatagram,
    StopStream,
)
from conformance.peer.baton.query import Parameters
from conformance.peer.client import Peer
from conformance.peer.errorcodes import from_http, to_http
from conformance.peer.events import StopSending, StreamReset, WireEvent, WtDatagram, WtStream, WtStreamData
from conformance.peer.session import Session
from conformance.peer.streams import Stream as WireStream
from conformance.peer.wtheaders import is_server_initiated


class BatonPlayer:
    """The client's end of a Devious Baton session.

    Args:
        peer: a connection.
        parameters: what to ask the server for.
        options: how this end plays.
        path: path and query of the request; None takes the default path and ``parameters``.

    The session is established by the constructor: SessionRefused where the server refuses it.
    ``messages`` counts complete messages both ways. ``out_of_credit``: the server permitted too few QUIC
    streams, so that this end had to close the session (§4.2).
    """

    def __init__(
        self, peer: Peer, parameters: Parameters, options: Options | None = None, *, path: str | None = None
    ) -> None:
        self.peer = peer
        self.machine = BatonMachine(Role.CLIENT, parameters, options)
        self.checker = Checker(Role.SERVER, parameters)
        self.messages = 0
        self.out_of_credit = False
        self._mark = peer.events.mark()
        self._known: dict[int, Stream] = {}
        self._wire: dict[Stream, WireStream] = {}
        self.session: Session = peer.establish(path or parameters.path())

    def play(self, timeout: float | None = None) -> bool:
        """Play until the session has ended both ways; False at the deadline (seconds without any event)."""
        while not self._over():
            events = self.peer.events.mark()
            if not self.peer.wait(lambda seen=events: self.peer.events.mark() > seen, timeout):  # type: ignore[misc]
                return False
            self.catch_up()
        return True

    def catch_up(self) -> None:
        """Process the events that have arrived."""
        events = self.peer.events.since(self._mark)
        self._mark += len(events)
        for event in events:
            if not event.sent:
                self._take(event)
        if self.session.closed_by_peer and not self.checker.closed:
            message = self.session.close_message
            self.checker.was_closed(message.code if message else None)
            self.machine.peer_closed()
            if not self.session.finished:
                self.session.finish()

    def violations(self) -> list[Violation]:
        """Return what the checker found once the server has had its time."""
        return self.checker.finish()

    def _over(self) -> bool:
        return self.session.done and self.checker.closed

    def _take(self, event: WireEvent) -> None:
        match event:
            case WtStream() if event.session_id == self.session.id and is_server_initiated(event.stream_id):
                self._accept(event.stream_id, bidirectional=event.bidirectional)
            case WtStreamData() if event.stream_id in self._known:
                self.checker.received(event.stream_id, event.data, end_stream=event.end_stream)
                self._receive(self._known[event.stream_id], event)
            case StreamReset() | StopSending() if event.error_code == self.peer.facts.session_gone_code:
                # Part of the end of the session, not the end of a baton: the close tells how it came.
                pass
            case StreamReset() if event.stream_id in self._known:
                self.checker.was_reset(event.stream_id, from_http(event.error_code))
                self.perform(self.machine.reset(self._known[event.stream_id]))
            case StopSending() if event.stream_id in self._known:
                self.checker.was_stopped(event.stream_id, from_http(event.error_code))
                self.perform(self.machine.stopped(self._known[event.stream_id]))
            case WtDatagram() if 4 * event.quarter_stream_id == self.session.id:
                self.checker.received_datagram(event.payload)
                self.perform(self.machine.datagram(event.payload))

    def _accept(self, stream_id: int, *, bidirectional: bool) -> None:
        self.checker.opened(stream_id, bidirectional=bidirectional)
        stream, moves = self.machine.accept(bidirectional=bidirectional)
        self._join(stream, self.peer.streams[stream_id])
        self.perform(moves)

    def _receive(self, stream: Stream, event: WtStreamData) -> None:
        complete = stream.reader.message is not None
        moves = self.machine.receive(stream, event.data, end_stream=event.end_stream)
        self.messages += not complete and stream.reader.message is not None
        self.perform(moves)

    def perform(self, moves: list[Move]) -> None:
        """Carry out moves of the machine, or others that a case makes up."""
        for move in moves:
            match move:
                case OpenStream():
                    self._open(move)
                case Reply():
                    self._send(self._wire[move.stream], move.data, finish=move.finish)
                case SendDatagram():
                    self.checker.we_sent_datagram(move.data)
                    self.session.send_datagram(move.data)
                case ResetStream() if move.stream in self._wire:
                    wire = self._wire[move.stream]
                    self.checker.we_reset(wire.id)
                    wire.reset_with(move.code)
                case StopStream():
                    wire = self._wire[move.stream]
                    self.checker.we_stopped(wire.id)
                    wire.stop(to_http(move.code))
                case CloseSession():
                    self._close(move)

    def _open(self, move: OpenStream) -> None:
        bidirectional = move.stream.bidirectional
        if not self.peer.quic.stream_credit(unidirectional=not bidirectional):
            self.out_of_credit = True
            self.perform(self.machine.no_credit())
            return
        opener: Callable[[], WireStream] = self.session.open_bidi if bidirectional else self.session.open_uni
        wire = opener()
        self._join(move.stream, wire)
        self.checker.we_opened(wire.id, bidirectional=bidirectional)
        self._send(wire, move.data, finish=move.finish)

    def _send(self, wire: WireStream, data: bytes, *, finish: bool) -> None:
        self.messages += finish
        self.checker.we_sent(wire.id, data, end_stream=finish)
        wire.send(data, end_stream=finish)

    def _close(self, move: CloseSession) -> None:
        self.checker.we_closed()
        if move.code is None:
            self.session.finish()
        else:
            self.session.close(move.code, move.code.name.encode())

    def _join(self, stream: Stream, wire: WireStream) -> None:
        self._known[wire.id] = stream
        self._wire[stream] = wire
