"""Packet captures made of UDP payloads, with the TLS secrets inside (pcapng).

The peer sees UDP payloads only. They are wrapped into minimal IP and UDP headers, so that Wireshark
shows a connection as if it had been captured on the wire, decrypted by the key log in the file.
Block layouts: draft-ietf-opsawg-pcapng §4.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

MAX_BYTES: Final = 64 * 1024 * 1024
LINKTYPE_RAW: Final = 101
SECTION_HEADER, INTERFACE, ENHANCED_PACKET, DECRYPTION_SECRETS = 0x0A0D0D0A, 1, 6, 0x0A
TLS_KEY_LOG: Final = 0x544C534B
UDP: Final = 17
# Where an address is not numeric (links in memory may name hosts as they like).
PLACEHOLDER: Final = "192.0.2.1"


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP payload; ``time`` is in seconds, addresses are (host, port, ...)."""

    time: float
    source: tuple[Any, ...]
    destination: tuple[Any, ...]
    data: bytes


class PacketCapture:
    """Collects UDP payloads; an instance is what ``QuicOptions.capture`` takes.

    ``local`` is the address shown for this side. Beyond ``max_bytes`` datagrams are counted, not kept.
    """

    def __init__(self, local: tuple[Any, ...], *, max_bytes: int = MAX_BYTES) -> None:
        self.datagrams: list[Datagram] = []
        self.dropped = 0
        self._local = local
        self._room = max_bytes

    def __call__(self, time: float, sent: bool, data: bytes, address: tuple[Any, ...]) -> None:
        """Add a UDP payload sent to, or received from, ``address``."""
        if self._room < len(data):
            self.dropped += 1
            return
        self._room -= len(data)
        ends = (self._local, address) if sent else (address, self._local)
        self.datagrams.append(Datagram(time, *ends, data))


def write(file: BinaryIO, datagrams: Iterable[Datagram], *, key_log: str = "", epoch: float = 0.0) -> None:
    """Write a capture; ``epoch`` is added to all times, to turn them into seconds since 1970."""
    file.write(_block(SECTION_HEADER, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
    file.write(_block(INTERFACE, struct.pack("<HHI", LINKTYPE_RAW, 0, 0)))
    if key_log:
        secrets = key_log.encode("ascii")
        file.write(_block(DECRYPTION_SECRETS, struct.pack("<II", TLS_KEY_LOG, len(secrets)) + secrets))
    for datagram in datagrams:
        packet = ip_packet(datagram)
        microseconds = max(0, round((datagram.time + epoch) * 1_000_000))
        head = struct.pack(
            "<IIIII", 0, microseconds >> 32, microseconds & 0xFFFFFFFF, len(packet), len(packet)
        )
        file.write(_block(ENHANCED_PACKET, head + packet))


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def ip_packet(datagram: Datagram) -> bytes:
    """Return an IP packet with a UDP datagram: IPv6 where both addresses are, else IPv4."""
    source, destination = _address(datagram.source), _address(datagram.destination)
    if source.version != destination.version:
        source = destination = ipaddress.ip_address(PLACEHOLDER)
    length = 8 + len(datagram.data)
    ports = struct.pack("!HHH", _port(datagram.source), _port(datagram.destination), length)
    pseudo = source.packed + destination.packed + struct.pack("!II", length, UDP)
    checksum = _checksum(pseudo + ports + b"\0\0" + datagram.data) or 0xFFFF
    payload = ports + struct.pack("!H", checksum) + datagram.data
    if source.version == 6:
        return (
            struct.pack("!IHBB", 0x60000000, length, UDP, 64) + source.packed + destination.packed + payload
        )
    header = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0x4000, 64, UDP)
    ends = source.packed + destination.packed
    return header + struct.pack("!H", _checksum(header + b"\0\0" + ends)) + ends + payload


def _address(address: tuple[Any, ...]) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return ipaddress.ip_address(PLACEHOLDER)


def _port(address: tuple[Any, ...]) -> int:
    return int(address[1]) & 0xFFFF


def _checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
