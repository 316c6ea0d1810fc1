"""Capsules with flow control in both directions, and further requests on the same connection."""

from __future__ import annotations

from typing import ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from fuzz import operations as op
from fuzz.machines import strategies as given
from fuzz.machines.sessions import StreamMachine

# Initial limits of this side: plenty, and so little that the target runs into them.
PLENTY: Final = (100, 100, 200_000)
TIGHT: Final = (1, 1, 50)


class CapsuleMachine(StreamMachine):
    """Close, drain and flow control capsules, valid or not; limits of both sides."""

    name: ClassVar[str] = "capsules"

    @initialize(
        limits=st.sampled_from([PLENTY, PLENTY, PLENTY, TIGHT]),
        items=given.BURSTS,
        finale=given.CAPSULE_FINALES,
    )
    def begin(
        self, limits: tuple[int, int, int], items: list[op.Operation], finale: list[op.Operation]
    ) -> None:
        """Establish the session with flow control."""
        self.start(limits)
        self.finale = finale
        self.play(*(self.named(item) for item in items))

    @rule(item=given.LIMITS)
    def limit(self, item: op.Limit) -> None:
        """A limit or a report about one."""
        self.play(item)

    @rule(item=given.LIMIT_PAIRS)
    def limits(self, item: tuple[op.Kind, int, int]) -> None:
        """Two limits, of which the second may be no more than the first."""
        kind, value, change = item
        self.play(op.Limit(kind, value), op.Limit(kind, value + change))

    @rule(item=given.CLOSES)
    def end(self, item: op.Operation) -> None:
        """End the session."""
        self.play(item)

    @rule(item=given.REQUEST_VARIANTS)
    def request(self, item: op.Request) -> None:
        """Another request, malformed or not."""
        self.play(item)
