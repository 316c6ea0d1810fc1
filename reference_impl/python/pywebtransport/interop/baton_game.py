"""Plays Devious Baton over a session, as server or client: carries out what the state machine wants."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pywebtransport.events import Event
from pywebtransport.exceptions import DatagramError, StreamError, TimeoutError
from pywebtransport.interop import baton
from pywebtransport.interop.baton import (
    Arrival,
    BatonMachine,
    BatonParser,
    MalformedBaton,
    Outlet,
    StreamCode,
)
from pywebtransport.interop.hub import Hub
from pywebtransport.interop.query import Query
from pywebtransport.interop.service import Service
from pywebtransport.session import WebTransportSession
from pywebtransport.stream import WebTransportReceiveStream, WebTransportSendStream, WebTransportStream
from pywebtransport.types import EventType

BORED_AFTER: Final = 10.0
"""Seconds without a message."""
_CREDIT_TIMEOUT: Final = 1.0
"""Seconds to wait for the credit of a new stream before it counts as missing."""
_LAST_WORD: Final = 5.0
"""Seconds that the peer gets to end the session once the last baton is on its way to it."""
_RANDOM_PADDING: Final = 64


@dataclass(slots=True)
class Tally:
    """What happened; the codes are those of the application (`None`: the peer gave none)."""

    messages_sent: int = 0
    messages_received: int = 0
    datagrams_sent: int = 0
    datagrams_received: int = 0
    resets_sent: Counter[int | None] = field(default_factory=Counter)
    resets_received: Counter[int | None] = field(default_factory=Counter)
    stops_sent: Counter[int | None] = field(default_factory=Counter)
    stops_received: Counter[int | None] = field(default_factory=Counter)


@dataclass(slots=True)
class _Carrier:
    """The baton of a stream: however many ways its stream ends, it can be lost once."""

    over: bool = False


class BatonGame(Service):
    """One end of a session.

    Args:
        machine: decides.
        padding: bytes of padding in our messages; default: a random number below 64.
        bored_after: seconds without a message after which the session is ended with BORED.
    """

    def __init__(
        self,
        session: WebTransportSession,
        query: Query,
        hub: Hub,
        *,
        machine: BatonMachine,
        padding: int | None = None,
        bored_after: float = BORED_AFTER,
    ) -> None:
        super().__init__(session, query, hub)
        self.tally = Tally()
        self._machine = machine
        self._padding = padding
        self._bored_after = bored_after
        self._moved = asyncio.Event()

    async def act(self) -> None:
        """The first batons, then a watch over the pace of the peer."""
        # draft §4.6: whatever code a STOP_SENDING has, it is answered with WHATEVER.
        self.session.answer_stops_with(error_code=StreamCode.WHATEVER)
        await self._perform(self._machine.start(), None)
        while not self._machine.closed:
            self._moved.clear()
            try:
                async with asyncio.timeout(self._bored_after):
                    await self._moved.wait()
            except builtins.TimeoutError:
                await self._perform(self._machine.bored(), None)

    async def on_uni(self, stream: WebTransportReceiveStream) -> None:
        await self._take(stream, Arrival.UNI, _Carrier())

    async def on_bidi(self, stream: WebTransportStream) -> None:
        carrier = _Carrier()
        self._watch_stops(stream, carrier)
        await self._take(stream, Arrival.PEER_BIDI, carrier)

    def on_datagram(self, data: bytes) -> None:
        self.tally.datagrams_received += 1
        parser = BatonParser()
        try:
            parser.feed(data)
            parser.finish()
        except MalformedBaton:
            self.spawn(self._perform(self._machine.malformed(), None))

    async def _take(
        self, stream: WebTransportStream | WebTransportReceiveStream, arrival: Arrival, carrier: _Carrier
    ) -> None:
        """A stream of the peer."""
        if self._machine.takes_interest():
            await self._receive(stream, arrival, carrier)
            return
        self.tally.stops_sent[StreamCode.IDC] += 1
        await stream.stop_receiving(error_code=StreamCode.IDC)
        await self._lose(carrier)

    async def _receive(
        self, stream: WebTransportStream | WebTransportReceiveStream, arrival: Arrival, carrier: _Carrier
    ) -> None:
        parser = BatonParser()
        same = stream if isinstance(stream, WebTransportStream) else None
        try:
            while data := await stream.read():
                parser.feed(data)
            value = parser.finish()
        except MalformedBaton:
            actions = [] if carrier.over else self._machine.malformed()
        except StreamError as error:
            if not error.details.get("reset"):
                raise
            code = error.details.get("application_code")
            self.tally.resets_received[code] += 1
            if code is None:
                # The session is going (draft-16 §6), and no baton by itself.
                return
            if same is not None and same.can_write:
                await self._reset(same, StreamCode.WHATEVER)
            await self._lose(carrier)
            return
        else:
            if carrier.over:
                return
            # Only an answer can still be lost on this stream.
            carrier.over = arrival is not Arrival.PEER_BIDI
            self.tally.messages_received += 1
            actions = self._machine.receive(arrival, value)
        self._moved.set()
        await self._perform(actions, (same, carrier) if same is not None else None)

    async def _lose(self, carrier: _Carrier) -> None:
        """The stream of a baton was given up by one of the two sides."""
        if not carrier.over:
            carrier.over = True
            self._moved.set()
            await self._perform(self._machine.lost(), None)

    async def _perform(
        self, actions: list[baton.Action], same: tuple[WebTransportStream, _Carrier] | None
    ) -> None:
        for action in actions:
            if isinstance(action, baton.Send):
                await self._send(action, same)
            elif isinstance(action, baton.SendDatagram):
                with contextlib.suppress(DatagramError):
                    await self.session.send_datagram(data=baton.encode_baton(action.value))
                    self.tally.datagrams_sent += 1
            else:
                await self._close(action)

    async def _send(self, action: baton.Send, same: tuple[WebTransportStream, _Carrier] | None) -> None:
        padding = secrets.randbelow(_RANDOM_PADDING) if self._padding is None else self._padding
        message = baton.encode_baton(action.value, padding)
        stream: WebTransportStream | WebTransportSendStream
        if action.outlet is Outlet.SAME_STREAM and same is not None:
            stream, carrier = same
        else:
            carrier = _Carrier()
            try:
                async with asyncio.timeout(_CREDIT_TIMEOUT):
                    stream = await (
                        self.session.create_bidirectional_stream()
                        if action.outlet is Outlet.NEW_BIDI
                        else self.session.create_unidirectional_stream()
                    )
            except (builtins.TimeoutError, TimeoutError):
                await self._perform(self._machine.no_credit(), None)
                return
            self._watch_stops(stream, carrier)
        try:
            if action.lie:
                # The machine has counted this baton out.
                carrier.over = True
                await stream.write_all(data=message[:-1])
                await self._reset(stream, StreamCode.I_LIED)
            else:
                await stream.write_all(data=message, end_stream=True)
                self.tally.messages_sent += 1
        except StreamError as error:
            if not error.details.get("stopped"):
                raise
        if action.outlet is Outlet.NEW_BIDI and isinstance(stream, WebTransportStream):
            # The answer comes on the same stream; other batons must not wait for it.
            self.spawn(self._receive(stream, Arrival.OWN_BIDI, carrier))

    async def _close(self, action: baton.Close) -> None:
        self._moved.set()
        if action.after_peer:
            with contextlib.suppress(builtins.TimeoutError):
                async with asyncio.timeout(_LAST_WORD):
                    await self.session.wait_closed()
        if action.code is None:
            await self.session.finish()
        else:
            await self.session.close(error_code=action.code, reason=action.code.name)

    async def _reset(self, stream: WebTransportStream | WebTransportSendStream, code: StreamCode) -> None:
        self.tally.resets_sent[code] += 1
        await stream.reset(error_code=code)

    def _watch_stops(self, stream: WebTransportStream | WebTransportSendStream, carrier: _Carrier) -> None:
        """A stopped stream has lost its baton.

        The transport has answered already, with a reset of the peer's code (RFC 9000 §3.5).
        """

        async def stopped(event: Event) -> None:
            self.tally.stops_received[(event.data or {}).get("error_code")] += 1
            await self._lose(carrier)

        stream.events.on(event_type=EventType.STOP_SENDING_RECEIVED, handler=stopped)
