"""Wire events: everything that a peer sends or receives, decoded, in one vocabulary.

Each layer reports what it sees as instances of these types: the QUIC adapter packets, frames and
transport events, the HTTP/3 observer streams, frames, field sections, capsules and WebTransport
streams. The wire log, qlog, the evidence of a verdict and the fuzz machines read nothing else.

All events are immutable. ``time`` is in seconds on the clock of the link, ``sent`` tells whether
this peer sent (True) or received (False) what the event describes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Layer: TypeAlias = Literal["quic", "h3", "wt"]

# Bytes fields are cut to this length in the JSON form: a wire log is read by people, the complete
# bytes are in the qlog and in the replay file.
MAX_JSON_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class WireEvent:
    """Common part of all events."""

    layer: ClassVar[Layer] = "quic"

    time: float
    sent: bool

    @property
    def name(self) -> str:
        """Name of the kind of event, in the vocabulary of the drafts' Python spelling."""
        return type(self).__name__

    def as_json(self) -> dict[str, Json]:
        """Return the event as a JSON object: bytes as hexadecimal text, long ones cut and counted."""
        result: dict[str, Json] = {
            "time": round(self.time, 6),
            "direction": "sent" if self.sent else "received",
            "layer": self.layer,
            "name": self.name,
        }
        for field in fields(self):
            if field.name not in ("time", "sent"):
                result.update(_json_field(field.name, getattr(self, field.name)))
        return result


def _json_field(name: str, value: object) -> dict[str, Json]:
    if isinstance(value, bytes):
        result: dict[str, Json] = {name: value[:MAX_JSON_BYTES].hex(), f"{name}_length": len(value)}
        return result
    return {name: _json_value(value)}


def _json_value(value: object) -> Json:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value[:MAX_JSON_BYTES].hex()
        case tuple() | list():
            return [_json_value(item) for item in value]
        case dict():
            return {str(key): _json_value(item) for key, item in value.items()}
        case _:
            return str(value)


EventHandler: TypeAlias = Callable[[WireEvent], None]

# --- QUIC (RFC 9000, RFC 9221, draft-ietf-quic-reliable-stream-reset) ---


@dataclass(frozen=True, slots=True, kw_only=True)
class QuicPacket(WireEvent):
    """A QUIC packet: ``packet_type`` is initial, handshake, 0rtt, 1rtt, retry or version_negotiation."""

    packet_type: str
    packet_number: int | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuicFrame(WireEvent):
    """A QUIC frame; ``details`` holds its fields by their names in RFC 9000 §19."""

    frame_type: int
    frame_name: str
    packet_type: str
    packet_number: int | None
    details: dict[str, int | str | bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeCompleted(WireEvent):
    """The TLS handshake is complete (RFC 9001 §4.1.1)."""

    alpn: str | None
    version: int
    cipher: str
    early_data_accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportParameters(WireEvent):
    """Transport parameters as they stand on the wire, unknown ones included (RFC 9000 §18)."""

    parameters: dict[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamData(WireEvent):
    """Bytes of a stream, in order; ``end_stream`` is the FIN bit (RFC 9000 §19.8)."""

    stream_id: int
    data: bytes
    end_stream: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReset(WireEvent):
    """RESET_STREAM, or RESET_STREAM_AT where ``reliable_size`` is not None."""

    stream_id: int
    error_code: int
    final_size: int
    reliable_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSending(WireEvent):
    """STOP_SENDING (RFC 9000 §19.5)."""

    stream_id: int
    error_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramFrame(WireEvent):
    """The payload of a QUIC DATAGRAM frame (RFC 9221 §4)."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed(WireEvent):
    """The end of the connection.

    ``by`` is ``peer`` (CONNECTION_CLOSE received), ``local`` (this peer's engine closed by itself),
    ``case`` (closed because the case asked for it), ``idle`` or ``stateless_reset``.
    ``frame_type`` is None for an application close (0x1d), else the frame type of 0x1c.
    """

    by: Literal["peer", "local", "case", "idle", "stateless_reset"]
    error_code: int
    frame_type: int | None
    reason: str

    @property
    def application(self) -> bool:
        """Tell whether the close carries an HTTP/3 error code."""
        return self.frame_type is None


# --- HTTP/3 (RFC 9114, RFC 9204, RFC 9297) ---


@dataclass(frozen=True, slots=True, kw_only=True)
class UniStreamType(WireEvent):
    """The type of a unidirectional stream became known (RFC 9114 §6.2)."""

    layer: ClassVar[Layer] = "h3"

    stream_id: int
    stream_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class H3Frame(WireEvent):
    """A complete HTTP/3 frame (RFC 9114 §7.2); ``payload`` may be cut, ``length`` is the declared one."""

    layer: ClassVar[Layer] = "h3"

    stream_id: int
    frame_type: int
    length: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(WireEvent):
    """A SETTINGS frame: identifiers and values in the order of the wire, duplicates kept."""

    layer: ClassVar[Layer] = "h3"

    stream_id: int
    entries: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSection(WireEvent):
    """A decoded field section (RFC 9204 §4.5)."""

    layer: ClassVar[Layer] = "h3"

    stream_id: int
    fields: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goaway(WireEvent):
    """A GOAWAY frame (RFC 9114 §7.2.6)."""

    layer: ClassVar[Layer] = "h3"

    stream_id: int
    identifier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed(WireEvent):
    """Received bytes that cannot be parsed; what was expected, and the offending bytes."""

    layer: ClassVar[Layer] = "h3"

    stream_id: int | None
    problem: str
    data: bytes


# --- WebTransport ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule(WireEvent):
    """A complete capsule on a CONNECT stream (RFC 9297 §3.2)."""

    layer: ClassVar[Layer] = "wt"

    stream_id: int
    capsule_type: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WtStream(WireEvent):
    """The header of a WebTransport stream is complete (draft-16 §4.2, §4.3)."""

    layer: ClassVar[Layer] = "wt"

    stream_id: int
    session_id: int
    bidirectional: bool
    header_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WtStreamData(WireEvent):
    """Body bytes of a WebTransport stream, header excluded."""

    layer: ClassVar[Layer] = "wt"

    stream_id: int
    session_id: int
    data: bytes
    end_stream: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WtDatagram(WireEvent):
    """An HTTP/3 datagram: Quarter Stream ID and payload (RFC 9297 §2.1)."""

    layer: ClassVar[Layer] = "wt"

    quarter_stream_id: int
    payload: bytes
