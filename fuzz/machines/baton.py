"""Devious Baton: games with messages that the other side does not wait for."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from fuzz import operations as op
from fuzz.machines import strategies as given
from fuzz.machines.base import Machine

# A game with a low value takes many turns.
GAMES = st.builds(
    op.Baton,
    st.sampled_from([255, 254, 253, 252, 249, 245, 230]),
    st.sampled_from([1, 1, 2, 3]),
    st.sampled_from([0, 0, 1, 64, 2000]),
)
MESSAGES = st.builds(
    op.BatonMessage,
    st.sampled_from(["uni", "bidi", "datagram"]),
    st.sampled_from([0, 1, 7, 8, 14, 15, 77, 252, 255]),
    st.sampled_from([0, 0, 1, 70]),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([0, 0, 0, 1]),
)


class BatonMachine(Machine):
    """One game beside an ordinary session."""

    name: ClassVar[str] = "baton"

    @initialize(items=given.BURSTS, game=GAMES)
    def begin(self, items: list[op.Operation], game: op.Baton) -> None:
        """Establish both sessions."""
        self.start(None)
        self.play(*(self.named(item) for item in items), game)

    @rule(item=MESSAGES)
    def message(self, item: op.BatonMessage) -> None:
        """Send something that the game did not ask for."""
        self.play(item)

    @rule(items=given.BURSTS)
    def burst(self, items: list[op.Operation]) -> None:
        """Go on in the ordinary session."""
        self.play(*(self.named(item) for item in items))
