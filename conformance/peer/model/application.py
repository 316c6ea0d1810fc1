"""The interface between the engine and the applications behind its endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.peer.qpack import Field

if TYPE_CHECKING:
    from conformance.peer.model.sessions import Session
    from conformance.peer.model.streams import WtStream


class Application:
    """What runs in one session; this one reads everything and answers nothing.

    ``sent`` counts body bytes that left. Codes are application codes, None where a peer gave none.
    """

    session: Session

    def started(self, session: Session) -> None:
        """The session is established."""
        self.session = session

    def stream_opened(self, stream: WtStream) -> None:
        """The client opened a stream."""

    def stream_data(self, stream: WtStream, data: bytes) -> None:
        """Body bytes arrived."""

    def stream_end(self, stream: WtStream) -> None:
        """The client finished its direction."""

    def stream_reset(self, stream: WtStream, code: int | None) -> None:
        """The client reset its direction."""

    def stream_stop(self, stream: WtStream, code: int | None) -> None:
        """The client stopped reading; QUIC has reset this side's direction."""

    def stop_answer(self, stream: WtStream, code: int | None) -> int | None:
        """Return the application code of the reset that answers STOP_SENDING; None copies the code."""
        return None

    def sent(self, length: int) -> None:
        """Body bytes were handed to QUIC."""

    def datagram(self, payload: bytes) -> None:
        """A datagram arrived."""

    def draining(self) -> None:
        """The client announced the shutdown of the session or the connection."""

    def closed(self, code: int | None, reason: str | None, *, clean: bool) -> None:
        """The session ended; nothing can be sent any more."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept a session, ``after`` seconds, with an application protocol or None."""

    application: Application
    protocol: str | None = None
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse a session with a status, ``after`` seconds."""

    status: int
    fields: tuple[Field, ...] = ()
    after: float = 0.0
