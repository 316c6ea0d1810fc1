"""A Devious Baton game as part of a script: the client's end plays on, and slips in messages of its own.

The game has a connection of its own beside the session of the script. The oracle is the checker of
``conformance.peer.baton``: what the draft leaves open it tolerates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from conformance.harness.target import Target
from conformance.peer.baton import Options, Parameters, encode_message
from conformance.peer.baton.checker import CLOSE_ROWS
from conformance.peer.baton.machine import Stream
from conformance.peer.baton.moves import OpenStream, SendDatagram
from conformance.peer.baton.player import BatonPlayer
from conformance.peer.baton.query import ACCEPT, allowed_answers
from conformance.peer.drafts import Draft
from conformance.peer.options import ConnectFailed, SessionRefused
from fuzz import operations as op
from fuzz.violations import TargetGone, Unjudged, Violation

# Seconds without any event after which the server has had its time.
QUICK: Final = 0.15
PATIENT: Final = 2.0


class BatonGame:
    """One game; ``finish`` says what the server did wrong."""

    def __init__(self, target: Target, draft: Draft, item: op.Baton) -> None:
        parameters = Parameters(baton=item.value, count=item.count)
        path = target.endpoint("baton")
        query = parameters.path().partition("?")[2]
        path = f"{path}?{query}" if query else path
        quic = {**target.options.quic, "frame_events": False}
        try:
            self._peer = target.connect(draft, replace(target.options, quic=quic))
        except ConnectFailed as error:
            raise TargetGone(f"no connection: {error}") from None
        self._interfered = False
        self.refused: Violation | None = None
        self._player: BatonPlayer | None = None
        options = Options(padding=lambda _: item.padding)
        try:
            self._player = BatonPlayer(self._peer, parameters, options, path=path)
        except SessionRefused as error:
            if self._peer.closed is not None and self._peer.closed.by == "local":
                raise Unjudged("the peer's own engine closed the connection") from None
            if allowed_answers(query) == ACCEPT:
                self.refused = Violation(
                    "baton", "DB-3-02", "refused", f"a valid request was refused: {error}"
                )

    def send(self, item: op.BatonMessage) -> None:
        """Send a message that the game did not ask for, whole or not; only the first one counts."""
        player = self._player
        if player is None or player.checker.closed or self._interfered:
            return
        # Streams overtake each other: of two such messages either could be the reason of a close.
        self._interfered = True
        data = encode_message(item.value, bytes(item.padding)) + bytes(item.extra)
        data = data[: len(data) - item.cut] if item.cut else data
        if item.carrier == "datagram":
            player.perform([SendDatagram(item.value, data)])
            return
        bidirectional = item.carrier == "bidi"
        stream = Stream(bidirectional, own=True, send_closed=True, receive_closed=not bidirectional)
        player.perform([OpenStream(stream, item.value, data)])

    def finish(self, *, patient: bool) -> Violation | None:
        """Play to the end; return what was wrong."""
        if self._player is None:
            return self.refused
        self._player.catch_up()
        ended = self._player.play(PATIENT if patient else QUICK)
        closed = self._peer.closed
        if closed is not None and closed.by == "local":
            raise Unjudged("the peer's own engine closed the connection")
        if closed is not None:
            reaction = f"connection_closed {closed.error_code:#x}"
            return Violation("baton", "connection-lives", reaction, "the connection was closed in a game")
        found = self._player.violations()
        if self._interfered:
            # The message races with the last baton, and an unexpected one may be a reason to close, or not
            # (AMB-30): how the session ends is not judged then.
            found = [item for item in found if item.requirement not in CLOSE_ROWS.values()]
        if not found:
            return None
        worst = min(found, key=lambda item: item.requirement)
        state = "ended" if ended else "went silent"
        return Violation("baton", worst.requirement, "violated", f"{worst.text} (the game {state})")

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()
