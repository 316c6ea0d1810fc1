"""Raw frames put into a connection beside what aioquic sends by itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.tls import Epoch

# Room for a short header with the longest connection id, a packet number and the AEAD tag.
PACKET_OVERHEAD = 1 + 20 + 4 + 16


@dataclass(slots=True, eq=False)
class Injection:
    """Frames that travel in a packet of their own; ``acked`` once a packet with them was acknowledged.

    A packet that is lost is sent again with the same payload, so ``acked`` means that the target's
    QUIC layer has processed the frames.
    """

    payload: bytes
    epoch: Epoch
    # False: queued while stream data waited, which therefore goes first.
    first: bool
    acked: bool = False
    times_sent: int = 0


class InjectionQueue:
    """The injections of one packet number space that wait to be sent or for their acknowledgement."""

    def __init__(self) -> None:
        self._waiting: deque[Injection] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, injection: Injection) -> None:
        """Queue an injection behind the others."""
        self._waiting.append(injection)

    def next(self, *, first: bool) -> Injection | None:
        """Return the injection to send now, if any; ``first`` is True before stream data is written."""
        if self._waiting and (not first or self._waiting[0].first):
            return self._waiting[0]
        return None

    def write(self, builder: QuicPacketBuilder) -> bool:
        """Write the head of the queue as the whole payload of the packet just started.

        Returns False, with nothing written, where the packet or the congestion window has no room.
        """
        injection = self._waiting[0]
        if min(builder.remaining_flight_space, builder.remaining_buffer_space) < len(injection.payload):
            return False
        packet = builder._packet
        assert packet is not None
        builder._buffer.push_bytes(injection.payload)
        packet.is_ack_eliciting = True
        packet.in_flight = True
        packet.delivery_handlers.append((self._on_delivery, (injection,)))
        injection.times_sent += 1
        self._waiting.popleft()
        return True

    def _on_delivery(self, delivery: QuicDeliveryState, injection: Injection) -> None:
        if delivery is QuicDeliveryState.ACKED:
            injection.acked = True
        else:
            injection.first = True
            self._waiting.appendleft(injection)
