"""Session life with streams and datagrams: what a client may do, and what it may not."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from hypothesis.stateful import initialize, rule

from fuzz import operations as op
from fuzz.machines import strategies as given
from fuzz.machines.base import Machine


class StreamMachine(Machine):
    """Rules about streams and datagrams, shared with the machine of capsules."""

    @rule(items=given.BURSTS)
    def burst(self, items: list[op.Operation]) -> None:
        """Several short streams and datagrams in one flight."""
        self.play(*(self.named(item) for item in items))

    @rule(item=given.OPENINGS)
    def open(self, item: op.OpenStream) -> None:
        """A stream, finished or not."""
        self.play(self.named(item))

    @rule(item=given.SENDS)
    def send(self, item: op.Send) -> None:
        """More bytes on a stream."""
        name = self.pick(item.stream)
        if name is not None:
            self.play(replace(item, stream=name))

    @rule(item=given.ENDINGS)
    def abort(self, item: op.Reset | op.ResetAt | op.Stop) -> None:
        """Reset or stop a stream."""
        name = self.pick(item.stream)
        if name is not None:
            self.play(replace(item, stream=name))

    @rule(item=given.TOLERATED)
    def extension(self, item: op.Operation) -> None:
        """Something that has to be ignored."""
        self.play(item)

    @rule()
    def fence(self) -> None:
        """Wait for what is due."""
        self.play(op.Fence())


class SessionMachine(StreamMachine):
    """Session life, streams and datagrams, the frames around them."""

    name: ClassVar[str] = "sessions"

    @initialize(items=given.BURSTS, finale=given.SESSION_FINALES)
    def begin(self, items: list[op.Operation], finale: list[op.Operation]) -> None:
        """Establish the session without flow control."""
        self.start(None)
        self.finale = finale
        self.play(*(self.named(item) for item in items))

    @rule(item=given.CLOSES)
    def close(self, item: op.Operation) -> None:
        """End the session."""
        self.play(item)
