"""The table of network profiles.

All times are in seconds and hold for one direction, so that a round trip takes twice the delay. A profile
is one line of numbers: another one needs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What happens to datagrams; a field that is left out does nothing.

    Attributes:
        delay: seconds that each datagram travels.
        jitter: the delay varies uniformly by up to so many seconds both ways; by itself it keeps the order.
        loss: share of datagrams lost, 0 to 1.
        loss_burst: mean number of datagrams lost in a row, at least 1 (1: never two).
        reorder: share of datagrams that are held back while later ones overtake them.
        reorder_delay: seconds that such a datagram is held back in addition.
        duplicate: share of datagrams that arrive twice.
        rate: bits per second; 0 is unlimited.
        queue: seconds that a datagram may wait for the link; what would wait longer is dropped.
        outage_every: seconds from the start of one outage to that of the next, on average; 0 means none.
        outage_length: seconds that an outage lasts; everything that arrives meanwhile is dropped.
        max_payload: bytes of the largest datagram that gets through; 0 means any. With IPv6 and UDP headers,
            1232 is a path of 1280 bytes.
        rebind_every: after so many datagrams from the client, its source port changes; 0 means never.
    """

    name: str
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    loss_burst: float = 1.0
    reorder: float = 0.0
    reorder_delay: float = 0.0
    duplicate: float = 0.0
    rate: float = 0.0
    queue: float = 0.2
    outage_every: float = 0.0
    outage_length: float = 0.0
    max_payload: int = 0
    rebind_every: int = 0

    def __post_init__(self) -> None:
        """Reject numbers that make no network; raises ValueError."""
        shares = (self.loss, self.reorder, self.duplicate)
        if not all(0 <= share <= 1 for share in shares) or self.loss_burst < 1:
            raise ValueError(f"profile {self.name}: shares are from 0 to 1, a burst is at least 1 long")
        if not 0 <= self.jitter <= self.delay:
            raise ValueError(f"profile {self.name}: jitter cannot exceed the delay")
        if self.loss > 0 and self.loss >= self.loss_burst / (1 + self.loss_burst):
            raise ValueError(
                f"profile {self.name}: bursts of {self.loss_burst} cannot make a loss of {self.loss}"
            )
        if self.outage_every and not 0 < self.outage_length < self.outage_every / 2:
            raise ValueError(f"profile {self.name}: an outage is shorter than half of its period")


def _table(*profiles: Profile) -> Mapping[str, Profile]:
    return MappingProxyType({profile.name: profile for profile in profiles})


PROFILES: Final[Mapping[str, Profile]] = _table(
    Profile(name="clean"),
    Profile(name="wifi", delay=0.003, jitter=0.002, loss=0.002, loss_burst=2, duplicate=0.0005, rate=100e6),
    Profile(name="mobile", delay=0.025, jitter=0.010, loss=0.005, loss_burst=3, rate=20e6),
    Profile(name="lossy", delay=0.005, jitter=0.001, loss=0.03, loss_burst=1.5),
    Profile(name="reorder", delay=0.005, jitter=0.001, reorder=0.1, reorder_delay=0.006, duplicate=0.01),
    Profile(name="outage", delay=0.005, jitter=0.001, outage_every=4.0, outage_length=0.4),
    Profile(name="blackout", delay=0.005, jitter=0.001, outage_every=6.0, outage_length=2.0),
    Profile(name="narrow", delay=0.005, jitter=0.001, max_payload=1232),
    Profile(
        name="harsh",
        delay=0.05,
        jitter=0.02,
        loss=0.05,
        loss_burst=1.5,
        reorder=0.05,
        reorder_delay=0.03,
        duplicate=0.02,
    ),
    Profile(name="rebinding", delay=0.002, jitter=0.0005, rebind_every=24),
)
