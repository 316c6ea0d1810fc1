"""A tap on packet protection: sees, and may change, the frames of each packet in plain text."""

from __future__ import annotations

from typing import Protocol

from aioquic.quic.crypto import CryptoPair
from aioquic.tls import Epoch


class Tap(Protocol):
    """What the tap reports to."""

    def plain_outgoing(self, epoch: Epoch, header: bytes, payload: bytes) -> bytes | None:
        """Return the payload to send; None withholds the packet."""

    def packet_sent(self, epoch: Epoch, packet_number: int, payload: bytes, size: int) -> None:
        """Take note of a protected packet of ``size`` bytes."""

    def packet_withheld(self, packet: bytes) -> None:
        """Take note of a packet that counts as sent and must not leave."""

    def packet_opened(self, epoch: Epoch, packet_number: int, size: int) -> None:
        """Take note of a received packet whose protection was removed."""


class TappedPair(CryptoPair):
    """The keys of one epoch, shared with the pair that it stands for."""

    def __init__(self, pair: CryptoPair, epoch: Epoch, tap: Tap) -> None:
        super().__init__()
        self.recv = pair.recv
        self.send = pair.send
        self._epoch = epoch
        self._tap = tap

    def decrypt_packet(
        self, packet: bytes, encrypted_offset: int, expected_packet_number: int
    ) -> tuple[bytes, bytes, int]:
        """Remove the protection; raises CryptoError as the base class does."""
        header, payload, packet_number = super().decrypt_packet(
            packet, encrypted_offset, expected_packet_number
        )
        self._tap.packet_opened(self._epoch, packet_number, len(packet))
        return header, payload, packet_number

    def encrypt_packet(self, plain_header: bytes, plain_payload: bytes, packet_number: int) -> bytes:
        """Protect what the tap makes of the payload."""
        payload = self._tap.plain_outgoing(self._epoch, plain_header, plain_payload)
        if payload is None:
            packet = super().encrypt_packet(plain_header, plain_payload, packet_number)
            self._tap.packet_withheld(packet)
        else:
            packet = super().encrypt_packet(plain_header, payload, packet_number)
            self._tap.packet_sent(self._epoch, packet_number, payload, len(packet))
        return packet
