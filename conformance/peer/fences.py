"""Fences: how long to wait for a reaction before calling it absent, without sleeping blindly.

A fence has three parts: everything sent so far is acknowledged; then ordered exchanges (on the stream
itself where it echoes, else on fresh streams of the session, else a PING) show that the target went on
working; then a quiet window of max(50 ms, 4 round trips) passes in which nothing of HTTP/3 or
WebTransport happens. Targets with a thread per stream reorder above QUIC, so an echo on another stream
alone proves nothing. A fence ends the wait for an absent reaction, it never proves a missing one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from conformance.peer.events import Json, QuicFrame, QuicPacket

if TYPE_CHECKING:
    from conformance.peer.client import Peer
    from conformance.peer.session import Session
    from conformance.peer.streams import Stream

SHORTEST_WINDOW: Final = 0.05
ECHOES: Final = 2
MARKER: Final = b"fence %d"
MAX_WINDOWS: Final = 20


@dataclass(frozen=True, slots=True)
class Fence:
    """What a fence saw; ``exchange`` is stream, session, ping or none; ``window`` is in seconds."""

    acknowledged: bool
    exchange: str
    exchanged: bool
    quiet: bool
    window: float

    @property
    def held(self) -> bool:
        """Tell whether the absence of a reaction may be concluded."""
        return self.acknowledged and self.exchanged and self.quiet

    def as_json(self) -> dict[str, Json]:
        """Return the record as JSON."""
        return asdict(self)


def fence(peer: Peer, session: Session | None, *, stream: Stream | None, echo: bool) -> Fence:
    """Run a fence; ``echo`` False where the endpoint of ``session`` does not echo."""
    acknowledged = peer.wait(peer.quic.acked)
    if stream is not None and echo:
        exchange, exchanged = "stream", _echo_on(peer, stream)
    elif session is not None and echo and _permitted(peer, session, 0):
        # An echo that the other side does not permit would be a violation: then a PING has to do.
        exchange = "session"
        exchanged = all(
            _echo_fresh(peer, session, number)
            for number in range(ECHOES)
            if _permitted(peer, session, number)
        )
    else:
        peer.quic.send_ping()
        exchange, exchanged = "ping", peer.wait(peer.quic.acked)
    window = _window(peer)
    return Fence(acknowledged, exchange, exchanged, _quiet(peer, window), window)


def _echo_on(peer: Peer, stream: Stream) -> bool:
    before = stream.received_length
    marker = b"fence on %d" % stream.id
    stream.send(marker)
    return _settled(peer, stream, lambda: stream.received_length >= before + len(marker))


def _window(peer: Peer) -> float:
    return max(SHORTEST_WINDOW, 4 * peer.rtt)


def _permitted(peer: Peer, session: Session, number: int) -> bool:
    """Wait a while for credit for an echo, where streams that were closed may have used it up."""
    return peer.wait(lambda: session.permits_bidi(len(MARKER % number)), _window(peer))


def _echo_fresh(peer: Peer, session: Session, number: int) -> bool:
    marker = MARKER % number
    stream = session.open_bidi(marker, end_stream=True)
    return _settled(peer, stream, lambda: stream.ended and stream.received.endswith(marker))


def _settled(peer: Peer, stream: Stream, echoed: Callable[[], bool]) -> bool:
    """Wait for an echo, but no longer once the stream was reset or stopped."""
    peer.wait(lambda: echoed() or stream.reset_event is not None or stream.stop_event is not None)
    return echoed()


def _quiet(peer: Peer, window: float) -> bool:
    """Wait for a window without events above QUIC packets and frames."""
    for _ in range(MAX_WINDOWS):
        mark = peer.events.mark()
        peer.wait(lambda: False, window)
        if peer.closed is not None:
            return False
        if not any(not isinstance(event, QuicPacket | QuicFrame) for event in peer.events.since(mark)):
            return True
    return False
