"""The endpoint `baton`: drives the state machine of Devious Baton over a session."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import secrets
from typing import ClassVar, Final

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
from pywebtransport.interop.query import BadParameter, Query
from pywebtransport.interop.service import Service
from pywebtransport.session import WebTransportSession
from pywebtransport.stream import WebTransportReceiveStream, WebTransportSendStream, WebTransportStream
from pywebtransport.types import EventType

MAX_BATONS: Final = 100
_BORED_AFTER: Final = 30.0
"""Seconds without a message."""
_CREDIT_TIMEOUT: Final = 1.0
"""Seconds to wait for the credit of a new stream before it counts as missing."""
_LAST_WORD: Final = 1.0
"""Seconds that the peer gets to end the session once it has the last baton."""


class BatonEndpoint(Service):
    """Plays the server of Devious Baton."""

    name: ClassVar[str] = "baton"
    path: ClassVar[str | None] = "/webtransport/devious-baton"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        if query.number("version", baton.VERSION, high=1 << 30) != baton.VERSION:
            raise BadParameter("there is no such version")
        value = query.number("baton", low=1, high=255) or secrets.randbelow(255) + 1
        count = query.number("count", 1, low=1, high=MAX_BATONS)
        self._machine = BatonMachine(baton.Role.SERVER, count=count, value=value)
        self._moved = asyncio.Event()

    async def act(self) -> None:
        """The first batons, then a watch over the pace of the peer."""
        await self._perform(self._machine.start(), None)
        while not self._machine.closed:
            self._moved.clear()
            try:
                async with asyncio.timeout(_BORED_AFTER):
                    await self._moved.wait()
            except builtins.TimeoutError:
                await self._perform(self._machine.bored(), None)

    async def on_uni(self, stream: WebTransportReceiveStream) -> None:
        await self._receive(stream, Arrival.UNI)

    async def on_bidi(self, stream: WebTransportStream) -> None:
        _reset_when_stopped(stream)
        await self._receive(stream, Arrival.PEER_BIDI)

    def on_datagram(self, data: bytes) -> None:
        parser = BatonParser()
        try:
            parser.feed(data)
            parser.finish()
        except MalformedBaton:
            self.spawn(self._perform(self._machine.malformed(), None))

    async def _receive(
        self, stream: WebTransportStream | WebTransportReceiveStream, arrival: Arrival
    ) -> None:
        parser = BatonParser()
        same = stream if isinstance(stream, WebTransportStream) else None
        try:
            while data := await stream.read():
                parser.feed(data)
            actions = self._machine.receive(arrival, parser.finish())
        except MalformedBaton:
            actions = self._machine.malformed()
        except StreamError as error:
            if not error.details.get("reset"):
                raise
            if same is not None and same.can_write:
                await same.reset(error_code=StreamCode.WHATEVER)
            actions = self._machine.reset()
        self._moved.set()
        await self._perform(actions, same)

    async def _perform(self, actions: list[baton.Action], same: WebTransportStream | None) -> None:
        for action in actions:
            if isinstance(action, baton.Send):
                await self._send(action, same)
            elif isinstance(action, baton.SendDatagram):
                with contextlib.suppress(DatagramError):
                    await self.session.send_datagram(data=baton.encode_baton(action.value))
            else:
                await self._close(action)

    async def _send(self, action: baton.Send, same: WebTransportStream | None) -> None:
        message = baton.encode_baton(action.value, secrets.randbelow(64))
        try:
            async with asyncio.timeout(_CREDIT_TIMEOUT):
                stream: WebTransportStream | WebTransportSendStream
                if action.outlet is Outlet.SAME_STREAM and same is not None:
                    stream = same
                elif action.outlet is Outlet.NEW_BIDI:
                    stream = await self.session.create_bidirectional_stream()
                else:
                    stream = await self.session.create_unidirectional_stream()
        except (builtins.TimeoutError, TimeoutError):
            await self._perform(self._machine.no_credit(), None)
            return
        _reset_when_stopped(stream)
        try:
            await stream.write_all(data=message, end_stream=True)
        except StreamError as error:
            if error.details.get("stopped"):
                return
            raise
        if action.outlet is Outlet.NEW_BIDI and isinstance(stream, WebTransportStream):
            # The answer comes on the same stream; other batons must not wait for it.
            self.spawn(self._receive(stream, Arrival.OWN_BIDI))

    async def _close(self, action: baton.Close) -> None:
        self._moved.set()
        if action.after_peer:
            with contextlib.suppress(builtins.TimeoutError):
                async with asyncio.timeout(_LAST_WORD):
                    await self.session.wait_closed()
        if action.code is None:
            await self.session.finish()
        else:
            await self.session.close(error_code=action.code)


def _reset_when_stopped(stream: WebTransportStream | WebTransportSendStream) -> None:
    """STOP_SENDING is answered by RESET_STREAM with WHATEVER, unless the stream has ended."""

    async def stopped(event: Event) -> None:
        await stream.reset(error_code=StreamCode.WHATEVER)

    stream.events.on(event_type=EventType.STOP_SENDING_RECEIVED, handler=stopped)
