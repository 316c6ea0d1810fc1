"""What a case can change about a connection of the peer before it starts, and how it can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from conformance.peer.codepoints import StreamType
from conformance.peer.drafts import Draft
from conformance.peer.events import ConnectionClosed, EventHandler
from conformance.peer.qpack import Field
from conformance.peer.quic.connection import QuicPeer
from conformance.peer.quic.link import Link
from conformance.peer.settings import Entries, FlowControl

FailureClass: TypeAlias = Literal["unreachable", "timeout", "tls", "alpn", "closed", "no-settings"]


class ConnectFailed(Exception):
    """No connection that could be used.

    ``reason_class``: ``unreachable`` (no such host, ICMP, socket error), ``timeout`` (nothing that is
    QUIC answered in time), ``tls`` (handshake failure, the text says which), ``alpn`` (no common
    protocol), ``closed`` (closed by the other side, see ``close``), ``no-settings`` (connected, but no
    SETTINGS frame in time).
    """

    def __init__(self, reason_class: FailureClass, text: str, close: ConnectionClosed | None = None) -> None:
        super().__init__(f"{reason_class}: {text}")
        self.reason_class = reason_class
        self.text = text
        self.close = close


class SessionRefused(Exception):
    """A session was not established; ``status`` or ``code`` (of the reset, stop or close) say how."""

    def __init__(self, text: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerOptions:
    """Everything about a connection that a case may want to have otherwise.

    The defaults send all that the draft demands of a client, and nothing else but one reserved setting.
    """

    # More drafts whose settings are sent beside those of the connection's own.
    also: tuple[Draft, ...] = ()
    # Initial session limits (draft-16 §5.5): (streams_uni, streams_bidi, data); None: no such settings.
    flow_control: FlowControl | tuple[int | None, int | None, int | None] | None = None
    # The SETTINGS entries in wire order; None: those of the draft.
    settings: Entries | None = None
    # Changes to single entries: a value, or None to leave the entry out. New ones are appended.
    replace_settings: Mapping[int, int | None] = field(default_factory=dict)
    # Entries appended as they are, duplicates included.
    extra_settings: Entries = ()

    # False: nothing at all is sent after the handshake.
    start_h3: bool = True
    open_control: bool = True
    # Whether SETTINGS is sent at once; ``Peer.send_settings`` does it later.
    send_settings: bool = True
    # Bytes on the control stream between its type and SETTINGS.
    before_settings: bytes = b""
    control_stream_type: int = StreamType.CONTROL
    open_qpack: bool = True
    # Whether ``connect`` waits for the SETTINGS of the other side.
    wait_settings: bool = True

    # The request: fields added to every CONNECT, and the field encoder ("literal" or "static").
    request_fields: tuple[Field, ...] = ()
    authority: str | None = None
    path: str | None = None
    origin: str | None = None
    user_agent: str = "webtransport-conformance"
    encoder: str = "literal"

    # Fields of QuicOptions to replace.
    quic: Mapping[str, Any] = field(default_factory=dict)
    # Shortest time in seconds that is waited for an expected event; 20 round trips if that is longer.
    deadline: float = 3.0
    # Time in seconds for the handshake and the SETTINGS of the other side.
    connect_deadline: float = 10.0


class Opener(Protocol):
    """Opens connections to one target, over whatever link; called anew for each connection."""

    @property
    def authority(self) -> str:
        """The value of :authority."""

    @property
    def path(self) -> str:
        """The path of the session endpoint."""

    def __call__(self, handler: EventHandler, overrides: Mapping[str, Any]) -> tuple[QuicPeer, Link]:
        """Create the QUIC connection (its first packet queued) and the link that drives it.

        ``overrides`` replace fields of QuicOptions. ConnectFailed("unreachable") where there is no route.
        """
