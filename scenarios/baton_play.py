"""How scenarios play Devious Baton with a target, and how what the checker finds becomes records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from conformance.harness.run import Run, TwinFailed
from conformance.harness.target import ABSENT, Unsupported
from conformance.peer.baton import CloseSession, Move, OpenStream, Options, Parameters, Reply
from conformance.peer.baton.player import BatonPlayer
from conformance.peer.client import Peer
from conformance.peer.options import SessionRefused

WITNESS = "draft-frindell-webtrans-devious-baton-00"

# What replaces the bytes of a message of this side: a function of its ordinal (from 0) and of its move.
Rewrite = Callable[[int, OpenStream | Reply], bytes]


class Player(BatonPlayer):
    """A player whose messages can be rewritten before they go out; machine and checker see the result.

    With ``leaves_end`` the target has to end the session: this side does not, though it may.
    """

    def __init__(
        self,
        peer: Peer,
        parameters: Parameters,
        options: Options | None = None,
        *,
        path: str,
        rewrite: Rewrite | None = None,
        leaves_end: bool = False,
    ) -> None:
        self._rewrite = rewrite
        self._leaves_end = leaves_end
        self._ordinal = 0
        super().__init__(peer, parameters, options, path=path)

    def play(self, timeout: float | None = None) -> bool:
        """Process what has arrived already, then play to the end."""
        self.catch_up()
        return super().play(timeout)

    def perform(self, moves: list[Move]) -> None:
        """Carry out moves, messages rewritten."""
        kept = [move for move in moves if not (self._leaves_end and move == CloseSession(None))]
        super().perform([self._rewritten(move) for move in kept])

    def _rewritten(self, move: Move) -> Move:
        if self._rewrite is None or not isinstance(move, OpenStream | Reply):
            return move
        ordinal, self._ordinal = self._ordinal, self._ordinal + 1
        return replace(move, data=self._rewrite(ordinal, move))


def start(
    run: Run,
    options: Options | None = None,
    *,
    rewrite: Rewrite | None = None,
    leaves_end: bool = False,
    baton: int | None = None,
    count: int = 1,
    **switches: object,
) -> Player:
    """Establish a session at the target's endpoint; ``switches`` are more parameters of the query.

    Raises SessionRefused, and Unsupported where the target has no such endpoint.
    """
    asked: dict[str, object] = {"baton": baton} if baton is not None else {}
    if count != 1:
        asked["count"] = count
    path = run.endpoint("baton", **asked, **switches)
    parameters = Parameters(baton=baton, count=count)
    try:
        return Player(run.peer, parameters, options, path=path, rewrite=rewrite, leaves_end=leaves_end)
    except SessionRefused as error:
        if error.status in ABSENT and run.target.path != path:
            raise Unsupported("cooperation", f"the endpoint {path} is not there: {error}") from None
        raise


def opened(run: Run, player: Player, count: int = 1) -> None:
    """Wait until the target's first messages have arrived; nothing answers them yet."""
    run.peer.wait(lambda: sum(stream.done for stream in player.session.incoming_uni) >= count)


def judge(run: Run, player: Player) -> None:
    """Record what the checker found, for each row of the case and each other row that was broken.

    In the positive twin a violation raises TwinFailed. Raises Unsupported where this side had to end it all.
    """
    player.catch_up()
    if player.out_of_credit:
        raise Unsupported("not negotiated", "it permits too few QUIC streams for the game to go on")
    found: dict[str, list[str]] = {name: [] for name in run.case.requirements}
    for violation in player.violations():
        found.setdefault(violation.requirement, []).append(violation.text)
    texts = [text for several in found.values() for text in several]
    if run.twin and texts:
        raise TwinFailed(texts[0])
    for name, several in found.items():
        run.check(name, "violations", "==", [], sorted(set(several)))


def play(run: Run, player: Player) -> None:
    """Play to the end and record what the checker found."""
    player.play()
    judge(run, player)


def close_code(player: Player) -> int | None:
    """Return the code of the target's close message, None where it sent none."""
    message = player.session.close_message
    return message.code if message is not None else None


def await_close(run: Run, player: Player, timeout: float | None = None) -> str:
    """Wait for the end of the session by the target; return how it ended, in words."""
    session = player.session
    if not run.peer.wait(lambda: session.closed_by_peer, timeout):
        return "open"
    code = close_code(player)
    return "closed without a code" if code is None else f"closed with code {code}"
