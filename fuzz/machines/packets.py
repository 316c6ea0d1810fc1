"""Packets from elsewhere beside a session: whatever they are, the session goes on."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from fuzz import operations as op
from fuzz.machines import strategies as given
from fuzz.machines.base import Machine

PACKETS = st.lists(
    st.builds(op.Packet, st.sampled_from(op.PACKET_FORMS), st.integers(0, 1 << 32)), min_size=1, max_size=8
)


class PacketMachine(Machine):
    """A session with streams and datagrams, and packets that do not belong to it."""

    name: ClassVar[str] = "packets"

    @initialize(items=given.BURSTS)
    def begin(self, items: list[op.Operation]) -> None:
        """Establish the session."""
        self.start(None)
        self.play(*(self.named(item) for item in items))

    @rule(items=given.BURSTS)
    def burst(self, items: list[op.Operation]) -> None:
        """Several short streams and datagrams in one flight."""
        self.play(*(self.named(item) for item in items))

    @rule(items=PACKETS)
    def packets(self, items: list[op.Packet]) -> None:
        """Some packets from elsewhere, then what is due has to come all the same."""
        self.play(*items, op.Fence())
