"""Names for the plain values of the interface: addresses, headers, identifiers, states, event types."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager as AsyncContextManager
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, runtime_checkable

Address: TypeAlias = tuple[str, int]
"""IP address as text and UDP port."""
Buffer: TypeAlias = bytes | bytearray | memoryview
"""What can be sent. Any other C-contiguous object with the buffer protocol is accepted as well."""
ConnectionHandle: TypeAlias = int
ErrorCode: TypeAlias = int
Headers: TypeAlias = dict[str | bytes, str | bytes] | list[tuple[str | bytes, str | bytes]]
"""Field lines. Received ones are always a list of pairs of bytes, in the order of the wire, names in lower
case."""
RequestId: TypeAlias = int
SessionId: TypeAlias = int
"""QUIC stream ID of the CONNECT stream (draft-16 §2.1)."""
StreamId: TypeAlias = int
"""QUIC stream ID (RFC 9000 §2.1)."""

# Names of 0.17 and 0.18
Data: TypeAlias = bytes | bytearray | memoryview | str
EventData: TypeAlias = Any
Future: TypeAlias = asyncio.Future
Priority: TypeAlias = int
SSLContext: TypeAlias = ssl.SSLContext
Timeout: TypeAlias = float | None
Timestamp: TypeAlias = float
URL: TypeAlias = str
URLParts: TypeAlias = tuple[str, str, int, str]
Weight: TypeAlias = int


class EventType(StrEnum):
    """What clients, servers, connections, sessions and streams emit."""

    CONNECTION_CLOSED = "connection_closed"
    CONNECTION_ESTABLISHED = "connection_established"
    DATAGRAM_RECEIVED = "datagram_received"
    SESSION_CLOSED = "session_closed"
    SESSION_DATA_BLOCKED = "session_data_blocked"
    SESSION_DRAINING = "session_draining"
    SESSION_MAX_DATA_UPDATED = "session_max_data_updated"
    SESSION_MAX_STREAMS_BIDI_UPDATED = "session_max_streams_bidi_updated"
    SESSION_MAX_STREAMS_UNI_UPDATED = "session_max_streams_uni_updated"
    SESSION_PENDING = "session_pending"
    SESSION_READY = "session_ready"
    SESSION_REQUEST = "session_request"
    SESSION_STREAMS_BLOCKED = "session_streams_blocked"
    STOP_SENDING_RECEIVED = "stop_sending_received"
    STREAM_CLOSED = "stream_closed"
    STREAM_OPENED = "stream_opened"
    STREAM_RESET_RECEIVED = "stream_reset_received"


class ConnectionState(StrEnum):
    """Life of a QUIC connection."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSING = "closing"
    CLOSED = "closed"


class SessionState(StrEnum):
    """Life of a WebTransport session (draft-16 §3 to §6)."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DRAINING = "draining"
    CLOSING = "closing"
    CLOSED = "closed"


class StreamDirection(StrEnum):
    """Which way a stream carries data, seen from this end."""

    BIDIRECTIONAL = "bidirectional"
    SEND_ONLY = "send_only"
    RECEIVE_ONLY = "receive_only"


class StreamState(StrEnum):
    """Life of a stream, both directions folded into one value."""

    OPEN = "open"
    HALF_CLOSED_LOCAL = "half_closed_local"
    HALF_CLOSED_REMOTE = "half_closed_remote"
    RESET_SENT = "reset_sent"
    RESET_RECEIVED = "reset_received"
    CLOSED = "closed"


@runtime_checkable
class SessionProtocol(Protocol):
    """The part of a session that middleware may rely on."""

    @property
    def headers(self) -> Headers: ...

    @property
    def path(self) -> str: ...

    @property
    def remote_address(self) -> Address | None: ...

    @property
    def session_id(self) -> SessionId: ...

    @property
    def state(self) -> SessionState: ...

    @property
    def wt_available_protocols(self) -> list[str] | None: ...

    @property
    def wt_protocol(self) -> str | None: ...

    @wt_protocol.setter
    def wt_protocol(self, value: str | None) -> None: ...

    async def close(self, *, error_code: int = 0, reason: str | None = None) -> None: ...


class WebTransportProtocol(Protocol):
    """The callbacks of an asyncio datagram protocol, for programs that bridge to one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def datagram_received(self, data: Buffer, addr: Address) -> None: ...

    def error_received(self, exc: Exception) -> None: ...


__all__ = [
    "URL",
    "Address",
    "AsyncContextManager",
    "AsyncGenerator",
    "AsyncIterator",
    "Buffer",
    "ConnectionHandle",
    "ConnectionState",
    "Data",
    "ErrorCode",
    "EventData",
    "EventType",
    "Future",
    "Headers",
    "Priority",
    "RequestId",
    "SSLContext",
    "SessionId",
    "SessionProtocol",
    "SessionState",
    "StreamDirection",
    "StreamId",
    "StreamState",
    "Timeout",
    "Timestamp",
    "URLParts",
    "WebTransportProtocol",
    "Weight",
]
