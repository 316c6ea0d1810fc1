"""What the draft leaves open (AMB-30), as sets of allowed behaviours with names.

The machine follows one behaviour of each set (:class:`Options`), the checker tolerates all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

READINGS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        # §4.2 counts a baton down where 0 is received, §4.5 when "a baton exchange completes", which is also
        # what happens where 0 is sent. ``wait`` counts it, but leaves the close to the receiver of the 0.
        "zero_sent": frozenset({"close", "wait"}),
        # §4.4: a server sends a datagram for values = 0 mod 7; 0 itself, the end of a baton, is one of them.
        "zero_datagram": frozenset({"send", "silent"}),
        # §4.4: "an identical Baton message" may mean its padding too, or only its value.
        "datagram_padding": frozenset({"identical", "none"}),
        # §4.3 does not say what bytes behind the value are.
        "trailing_bytes": frozenset({"ignore", "bruh", "sus"}),
        # §4.2: "MAY close the WebTransport session with the SUS session error code".
        "unexpected_value": frozenset({"sus", "continue"}),
        # §4.6: a STOP_SENDING for a stream that is already closed has no prescribed answer; whether the baton
        # on it is over is not said either.
        "stop_after_close": frozenset({"goes_on", "ends"}),
    }
)
