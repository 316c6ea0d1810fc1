"""The register of a server's sessions."""

from __future__ import annotations

from pywebtransport.manager._base import ResourceManager
from pywebtransport.session import WebTransportSession
from pywebtransport.types import SessionId, SessionState


class SessionManager(ResourceManager[WebTransportSession]):
    """Sessions by a number of the endpoint (session IDs repeat from connection to connection)."""

    plural = "sessions"

    def __init__(self, *, max_sessions: int) -> None:
        super().__init__(limit=max_sessions)

    def number_of(self, resource: WebTransportSession) -> int:
        """Its handle."""
        return resource._handle

    async def add_session(self, *, session: WebTransportSession) -> SessionId:
        """Register a session and return its number.

        Raises:
            ServerError: there are `max_sessions` already.
        """
        self.insert(session._handle, session)
        return session._handle

    async def remove_session(self, *, session_id: SessionId) -> WebTransportSession | None:
        """Take a session out by the number that `add_session` returned."""
        return self.discard(session_id)

    async def get_sessions_by_state(self, *, state: SessionState) -> list[WebTransportSession]:
        """The sessions in one state."""
        return [session for session in self.items() if session.state is state]


__all__ = ["SessionManager"]
