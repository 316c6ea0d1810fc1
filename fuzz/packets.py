"""Packets beside a live connection: QUIC headers made with Scapy, sent from a socket of their own.

Whoever can send UDP can send these, so nothing of it may disturb the connection: what cannot be authenticated
is dropped (RFC 9000 §5.2, RFC 9001 §9.3). Answers to an address that was not validated stay below three
times of what was sent from there (RFC 9000 §8.1). Scapy builds headers only; it opens no socket.
"""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from conformance.peer.client import Peer
from conformance.peer.openers import DEFAULT_PORT, UdpOpener
from conformance.peer.options import Opener
from conformance.peer.quic import Address
from fuzz.violations import Violation

# Scapy complains about missing routes and libraries of packet capture, which are not used here.
logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.quic import (  # noqa: E402
    QUIC_0RTT,
    QUIC_1RTT,
    QUIC_Handshake,
    QUIC_Initial,
    QUIC_Retry,
    QUIC_Version,
)

MIN_INITIAL: Final = 1200
MAX_UDP: Final = 1452
# The newest of the genuine packets are left out, they may still be under way.
FRESH: Final = 8
AMPLIFICATION: Final = 3
# initial_source_connection_id of the target (RFC 9000 §18.2): the ID that short headers carry.
_SOURCE_ID: Final = 0x0F
_UNKNOWN_VERSION: Final = 0x1A2A3A4A


class PacketSender:
    """The socket beside the connection."""

    def __init__(self, opener: Opener) -> None:
        address = address_of(opener)
        self._socket: socket.socket | None = None
        self.sent = 0
        self.received = 0
        if address is not None:
            family = socket.AF_INET6 if ":" in str(address[0]) else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.connect(address)

    @property
    def possible(self) -> bool:
        """Tell whether the target is reached over UDP at all."""
        return self._socket is not None

    def send(self, form: str, seed: int, peer: Peer, sent: Sequence[bytes]) -> None:
        """Send one packet of a form; ``seed`` decides all that is random, ``sent`` are genuine payloads."""
        if self._socket is None:
            return
        source = random.Random(seed)
        target_id = peer.quic.peer_transport_parameters.get(_SOURCE_ID, b"")
        payload = FORMS[form](source, target_id, _genuine(source, sent))[:MAX_UDP]
        try:
            self._socket.send(payload)
        except OSError:
            return  # an ICMP error of an earlier packet: the connection will show what it means
        self.sent += len(payload)

    def check(self) -> Violation | None:
        """Count the answers; return a violation where they are too many bytes."""
        while self._socket is not None:
            try:
                self.received += len(self._socket.recv(65535))
            except OSError:
                break
        if self.received > AMPLIFICATION * max(self.sent, 1):
            text = f"{self.sent} bytes from an address that was not validated got {self.received} bytes"
            return Violation("model", "amplification", "bytes", f"{text} in return (RFC 9000 §8.1)")
        return None

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()


def _genuine(source: random.Random, sent: Sequence[bytes]) -> bytes:
    """Return a payload that has arrived long since, empty where there is none."""
    old = sent[:-FRESH]
    return source.choice(old) if old else b""


def address_of(opener: Opener) -> Address | None:
    """Return the numeric address of a target over UDP, None for one in memory."""
    if not isinstance(opener, UdpOpener):
        return None
    parts = urlsplit(opener.url)
    host, port = opener.connect_to or (parts.hostname or "", parts.port or DEFAULT_PORT)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return tuple(found[0][4])


# --- the forms: (source of chance, the target's connection ID, a genuine packet) -> UDP payload ---


def _initial(source: random.Random, target_id: bytes, size: int, **fields: Any) -> bytes:
    header = {
        "DstConnID": source.randbytes(8),
        "SrcConnID": source.randbytes(8),
        "Length": max(1, size - 60),
        "PacketNumber": source.randrange(256),
        **fields,
    }
    packet = bytes(QUIC_Initial(**header))
    return packet + source.randbytes(max(0, size - len(packet)))


def _unknown_version(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return _initial(source, target_id, MIN_INITIAL, Version=_UNKNOWN_VERSION)


def _version_negotiation(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    versions = [source.getrandbits(32) for _ in range(source.randrange(1, 4))]
    return bytes(QUIC_Version(DstConnID=target_id, SrcConnID=source.randbytes(8), SupportedVersions=versions))


def _initial_garbage(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return _initial(source, target_id, MIN_INITIAL)


def _initial_small(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return _initial(source, target_id, source.randrange(30, MIN_INITIAL))


def _initial_of_connection(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return _initial(source, target_id, MIN_INITIAL, DstConnID=target_id)


def _long_id(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return _initial(source, target_id, MIN_INITIAL, DstConnID=source.randbytes(source.randrange(21, 256)))


def _handshake(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    header = QUIC_Handshake(DstConnID=target_id, SrcConnID=source.randbytes(8), Length=200, PacketNumber=1)
    return bytes(header) + source.randbytes(200)


def _zero_rtt(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    header = QUIC_0RTT(DstConnID=target_id, SrcConnID=source.randbytes(8), Length=100, PacketNumber=1)
    return bytes(header) + source.randbytes(100)


def _retry(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return bytes(QUIC_Retry(DstConnID=target_id, SrcConnID=source.randbytes(8))) + source.randbytes(40)


def _short(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    first = bytes(QUIC_1RTT(KeyPhase=source.randrange(2), PacketNumber=source.randrange(256)))[:1]
    return first + target_id + source.randbytes(source.randrange(1, 300))


def _short_unknown(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return _short(source, source.randbytes(8), genuine)


def _duplicate(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return genuine


def _truncated(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return genuine[: source.randrange(len(genuine))] if genuine else b""


def _flipped(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    if not genuine:
        return b""
    position = source.randrange(len(genuine))
    changed = genuine[position] ^ (1 << source.randrange(8))
    return genuine[:position] + bytes([changed]) + genuine[position + 1 :]


def _coalesced(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    parts = [_handshake(source, target_id, b""), _zero_rtt(source, target_id, b""), genuine]
    source.shuffle(parts)
    return b"".join(parts)


def _garbage(source: random.Random, target_id: bytes, genuine: bytes) -> bytes:
    return source.randbytes(source.choice((1, 2, 7, 20, 21, 100, MIN_INITIAL)))


FORMS: Final[Mapping[str, Callable[[random.Random, bytes, bytes], bytes]]] = {
    "unknown-version": _unknown_version,
    "version-negotiation": _version_negotiation,
    "initial-garbage": _initial_garbage,
    "initial-small": _initial_small,
    "initial-of-connection": _initial_of_connection,
    "long-connection-id": _long_id,
    "handshake": _handshake,
    "0-rtt": _zero_rtt,
    "retry": _retry,
    "short": _short,
    "short-unknown": _short_unknown,
    "duplicate": _duplicate,
    "truncated": _truncated,
    "flipped": _flipped,
    "coalesced": _coalesced,
    "garbage": _garbage,
}
