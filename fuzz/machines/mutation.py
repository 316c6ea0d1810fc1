"""Mutations of one recorded run: any reaction is allowed, the target has to survive."""

from __future__ import annotations

from typing import ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from fuzz import operations as op
from fuzz.machines.base import Machine, Stage
from fuzz.mutate import mutated, recorded

RECORDED: Final = (
    op.OpenStream(0, True, b"bidi", True),
    op.OpenStream(1, False, b"uni", True),
    op.Datagram(b"datagram"),
    op.Drain(),
    op.OpenStream(2, True, b"open"),
    op.Close(1, b"bye"),
)


class MutationMachine(Machine):
    """The recording is an ordinary session of this side, made anew for each example."""

    name: ClassVar[str] = "mutation"

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.recording: op.Script = ()

    @initialize()
    def record(self) -> None:
        """Record a session with streams, datagrams, capsules and its end."""
        self.stage.executor.drop()
        self.start(None)
        self.play(*RECORDED)
        peer = self.stage.executor.peer
        if not self.ended and peer is not None:
            self.recording = recorded(event.as_json() for event in peer.events)
        self.stage.executor.drop()

    @rule(seed=st.integers(0, 1 << 32))
    def mutate(self, seed: int) -> None:
        """Play one mutation on a connection of its own."""
        if self.recording:
            self.play_raw(mutated(seed, self.recording))

    def teardown(self) -> None:
        """Nothing is left to be ended."""
        if not self.ended:
            self._guarded(self.stage.played)
