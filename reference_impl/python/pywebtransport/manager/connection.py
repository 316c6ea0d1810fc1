"""The register of a server's connections."""

from __future__ import annotations

from pywebtransport.connection import WebTransportConnection
from pywebtransport.manager._base import ResourceManager
from pywebtransport.types import ConnectionHandle


class ConnectionManager(ResourceManager[WebTransportConnection]):
    """Connections by handle, at most `max_connections` at a time."""

    plural = "connections"

    def __init__(self, *, max_connections: int) -> None:
        super().__init__(limit=max_connections)

    def number_of(self, resource: WebTransportConnection) -> int:
        """Its handle."""
        return resource.handle

    async def add_connection(self, *, connection: WebTransportConnection) -> ConnectionHandle:
        """Register a connection and return its handle.

        Raises:
            ServerError: there are `max_connections` already.
        """
        self.insert(connection.handle, connection)
        return connection.handle

    async def remove_connection(
        self, *, connection_handle: ConnectionHandle
    ) -> WebTransportConnection | None:
        """Take a connection out and close it."""
        connection = self.discard(connection_handle)
        if connection is not None:
            await connection.close()
        return connection


__all__ = ["ConnectionManager"]
