"""Connections that take further sessions (draft-16 §3.1, §5.1), by the server that they lead to."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from pywebtransport.connection import WebTransportConnection

Place = tuple[str, int]
"""Host and port of a server."""


class Pool:
    """The connections of a client by server.

    Whether one takes another session is for the core to say, as it depends on the draft and on what was
    negotiated; here they are only found.
    """

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._connections: dict[int, WebTransportConnection] = {}
        self._locks: WeakValueDictionary[Place, asyncio.Lock] = WeakValueDictionary()

    def lock(self, place: Place) -> asyncio.Lock:
        """To be held while a connection to a server is looked for or made: who comes second finds it."""
        lock = self._locks.get(place)
        if lock is None:
            lock = self._locks[place] = asyncio.Lock()
        return lock

    def add(self, place: Place, connection: WebTransportConnection) -> None:
        """Offer a connection for further sessions."""
        self._places[connection.handle] = place
        self._connections[connection.handle] = connection

    def discard(self, handle: int) -> None:
        """A connection has ended, or nobody else shall have it."""
        self._places.pop(handle, None)
        self._connections.pop(handle, None)

    def find(self, place: Place, tried: set[int]) -> WebTransportConnection | None:
        """A connection to a server that is in use, and not among those tried; the newest first."""
        for handle, connection in reversed(self._connections.items()):
            if handle not in tried and self._places[handle] == place and connection.is_connected:
                return connection
        return None
