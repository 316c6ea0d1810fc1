"""Configurations of clients and servers: plain dataclasses, checked by a table of ranges.

Times are seconds, sizes are bytes. `None` switches a time limit off.
"""

from __future__ import annotations

import copy
import math
import ssl
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Self

from pywebtransport import constants as c
from pywebtransport.exceptions import ConfigurationError
from pywebtransport.types import Headers

CONGESTION_CONTROL_ALGORITHMS: Final = ("cubic", "reno", "bbr")
DRAFTS: Final = (16, 14, 7, 2)
"""Drafts by their code points: 16 stands for -15/-16, 14 for -13/-14."""

_Range = tuple[float, float]
_POSITIVE_INT: Final[_Range] = (1, math.inf)
_TIME: Final[_Range] = (math.ulp(0.0), math.inf)
_BASE_RANGES: Final[dict[str, _Range]] = {
    "close_timeout": _TIME,
    "connection_idle_timeout": _TIME,
    "event_history_capacity": (0, math.inf),
    "event_queue_capacity": _POSITIVE_INT,
    "flow_control_window": _POSITIVE_INT,
    "initial_max_data": (0, c.QUIC_VARINT_LIMIT),
    "initial_max_streams_bidi": (0, c.WT_STREAMS_LIMIT),
    "initial_max_streams_uni": (0, c.WT_STREAMS_LIMIT),
    "keep_alive_interval": _TIME,
    "max_capsule_size": _POSITIVE_INT,
    "max_connections": _POSITIVE_INT,
    "max_datagram_size": (1, c.UDP_MAX_DATAGRAM_SIZE),
    "max_event_listeners": _POSITIVE_INT,
    "max_field_section_size": (1, (1 << 32) - 1),
    "max_pending_capsules": _POSITIVE_INT,
    "max_session_pending_events": _POSITIVE_INT,
    "max_sessions": _POSITIVE_INT,
    "max_stream_read_buffer_size": _POSITIVE_INT,
    "max_stream_write_buffer_size": _POSITIVE_INT,
    "max_total_pending_events": _POSITIVE_INT,
    "max_transport_streams": (c.H3_MIN_UNI_STREAM_COUNT, c.WT_STREAMS_LIMIT),
    "pending_event_ttl": _TIME,
    "quic_max_concurrent_bidi_streams": (c.WT_SESSION_CONTROL_BIDI_STREAM_COUNT, c.WT_STREAMS_LIMIT),
    "quic_max_concurrent_uni_streams": (c.H3_MIN_UNI_STREAM_COUNT, c.WT_STREAMS_LIMIT),
    "quic_receive_window": _POSITIVE_INT,
    "quic_send_window": _POSITIVE_INT,
    "quic_stream_receive_window": _POSITIVE_INT,
    "read_timeout": _TIME,
    "resource_cleanup_interval": _TIME,
    "stream_creation_timeout": _TIME,
    "write_timeout": _TIME,
}
_CORE_LIMITS: Final[dict[str, _Range]] = {
    "command_queue": _POSITIVE_INT,
    "datagram_receive_buffer": _POSITIVE_INT,
    "datagram_send_buffer": _POSITIVE_INT,
    "event_queue": _POSITIVE_INT,
    "max_data_window": (0, c.QUIC_VARINT_LIMIT),
    "max_early_capsule_bytes": (0, math.inf),
    "max_ignored_elements": (0, (1 << 32) - 1),
    "max_opening_streams": _POSITIVE_INT,
    "max_pending_datagrams": _POSITIVE_INT,
    "max_pending_streams": _POSITIVE_INT,
    "max_remembered_sessions": (0, math.inf),
    "max_settings_size": _POSITIVE_INT,
    "max_unfinished_streams": _POSITIVE_INT,
    "qpack_blocked_streams": (0, 1 << 16),
    "qpack_encoder_capacity": (0, (1 << 30) - 1),
    "qpack_max_table_capacity": (0, (1 << 30) - 1),
}
_CORE_NAMES: Final = {
    "max_pending_datagrams": "max_buffered_datagrams",
    "max_pending_streams": "max_buffered_streams",
    "max_unfinished_streams": "max_pending_streams",
}
CORE_LIMITS: Final = {name: _CORE_NAMES.get(name, name) for name in _CORE_LIMITS}
"""Bounds that the core has, and their names there (see `_core.pyi`)."""
_BASE_RANGES.update(
    _CORE_LIMITS, busy_wait=(0.0, 1e-3), qlog_max_files=_POSITIVE_INT, qlog_max_file_size=_POSITIVE_INT
)


@dataclass(kw_only=True)
class BaseConfig:
    """What clients and servers have in common."""

    alpn_protocols: list[str] = field(default_factory=lambda: list(c.DEFAULT_ALPN_PROTOCOLS))
    close_timeout: float | None = c.DEFAULT_CLOSE_TIMEOUT
    congestion_control_algorithm: str = c.DEFAULT_CONGESTION_CONTROL_ALGORITHM
    connection_idle_timeout: float | None = c.DEFAULT_CONNECTION_IDLE_TIMEOUT
    event_history_capacity: int = c.DEFAULT_EVENT_HISTORY_CAPACITY
    event_queue_capacity: int = c.DEFAULT_EVENT_QUEUE_CAPACITY
    flow_control_window: int = c.DEFAULT_FLOW_CONTROL_WINDOW
    """No effect: the window of a session begins with `initial_max_data`."""
    flow_control_window_auto_scale_enabled: bool = c.DEFAULT_FLOW_CONTROL_WINDOW_AUTO_SCALE_ENABLED
    """The window of a session may grow from `initial_max_data` to `max_data_window`."""
    initial_max_data: int = c.DEFAULT_INITIAL_MAX_DATA
    initial_max_streams_bidi: int = c.DEFAULT_INITIAL_MAX_STREAMS_BIDI
    initial_max_streams_uni: int = c.DEFAULT_INITIAL_MAX_STREAMS_UNI
    keep_alive_interval: float | None = c.DEFAULT_KEEP_ALIVE_INTERVAL
    log_level: str = c.DEFAULT_LOG_LEVEL
    """No effect: logging is the program's."""
    max_capsule_size: int = c.DEFAULT_MAX_CAPSULE_SIZE
    max_connections: int = c.DEFAULT_MAX_CONNECTIONS
    max_datagram_size: int = c.DEFAULT_MAX_DATAGRAM_SIZE
    max_event_listeners: int = c.DEFAULT_MAX_EVENT_LISTENERS
    max_field_section_size: int = c.DEFAULT_MAX_FIELD_SECTION_SIZE
    max_pending_capsules: int = c.DEFAULT_MAX_PENDING_CAPSULES
    """No effect: `max_early_capsule_bytes` bounds them."""
    max_pending_datagrams: int = c.DEFAULT_MAX_PENDING_DATAGRAMS
    """Per connection, before their session is known (draft-16 §4.6); further ones are dropped."""
    max_pending_streams: int = c.DEFAULT_MAX_PENDING_STREAMS
    """Likewise; further ones are refused with WT_BUFFERED_STREAM_REJECTED."""
    max_session_pending_events: int = c.DEFAULT_MAX_SESSION_PENDING_EVENTS
    """STREAM_OPENED events of a session that are kept while nobody listens; then the oldest are dropped."""
    max_sessions: int = c.DEFAULT_MAX_SESSIONS
    max_stream_read_buffer_size: int = c.DEFAULT_MAX_STREAM_READ_BUFFER_SIZE
    max_stream_write_buffer_size: int = c.DEFAULT_MAX_STREAM_WRITE_BUFFER_SIZE
    max_total_pending_events: int = c.DEFAULT_MAX_TOTAL_PENDING_EVENTS
    max_transport_streams: int = c.DEFAULT_MAX_TRANSPORT_STREAMS
    """QUIC streams of a kind that a peer may have at a time, whatever the two limits for each kind say."""
    pending_event_ttl: float | None = c.DEFAULT_PENDING_EVENT_TTL
    """No effect: what waits for its session is bounded in number, and goes with its connection."""
    quic_max_concurrent_bidi_streams: int = c.DEFAULT_QUIC_MAX_CONCURRENT_BIDI_STREAMS
    quic_max_concurrent_uni_streams: int = c.DEFAULT_QUIC_MAX_CONCURRENT_UNI_STREAMS
    quic_receive_window: int = c.DEFAULT_QUIC_RECEIVE_WINDOW
    quic_send_window: int = c.DEFAULT_QUIC_SEND_WINDOW
    quic_stream_receive_window: int = c.DEFAULT_QUIC_STREAM_RECEIVE_WINDOW
    read_timeout: float | None = c.DEFAULT_READ_TIMEOUT
    resource_cleanup_interval: float | None = c.DEFAULT_RESOURCE_CLEANUP_INTERVAL
    """No effect: nothing has to be looked for, what has ended is freed at once."""
    stream_creation_timeout: float | None = c.DEFAULT_STREAM_CREATION_TIMEOUT
    write_timeout: float | None = c.DEFAULT_WRITE_TIMEOUT
    drafts: list[int] = field(default_factory=lambda: list(DRAFTS))
    """Drafts to offer, of 16, 14, 7 and 2; on a client the preferred one first."""
    keylog_file: str | None = None
    """Path to which TLS secrets are appended (NSS key log format).

    Default: the environment's SSLKEYLOGFILE.
    """
    qlog_folder: str | None = None
    """Folder for a qlog trace of each connection, as far as the QUIC engine writes them; default: none."""
    qlog_max_files: int = 1000
    """The newest traces that are kept of an endpoint."""
    qlog_max_file_size: int = 16 << 20
    """Bytes of a trace; what follows is left out."""
    busy_wait: float = 100e-6
    """Seconds that the event loop does not sleep after a packet, where packets come and go one by one; 0: it
    always sleeps.

    Waking a processor takes longer than an answer. At most a twentieth of the time is waited in vain.
    """
    command_queue: int = 4_096
    """Commands on their way to the I/O thread."""
    event_queue: int = 8_192
    """Messages on their way from it; when it is full, nothing is read from the network."""
    datagram_receive_buffer: int = 1 << 20
    """Bytes per connection that QUIC keeps of datagrams; the oldest are dropped."""
    datagram_send_buffer: int = 1 << 20
    """Bytes per connection of datagrams to send; further ones are dropped."""
    max_data_window: int = 16 << 20
    """Bytes up to which the window of a session grows for a peer that is held up by it."""
    max_early_capsule_bytes: int = 8 << 10
    """Bytes of a CONNECT stream that are kept before it is answered (draft-16 §3.2)."""
    max_ignored_elements: int = 10_000
    """Frames, capsules and streams without effect in a row; more are H3_EXCESSIVE_LOAD (RFC 9114 §10.5)."""
    max_opening_streams: int = 4096
    """Our streams per connection that wait for the peer's limits; further ones fail."""
    max_unfinished_streams: int = 1024
    """Streams of the peer per connection that the application is not done with, ended ones included.

    At least as many as QUIC allows at a time; further ones wait in QUIC, whose limit the peer then meets.
    """
    max_remembered_sessions: int = 256
    """Ended sessions per connection whose late streams get WT_SESSION_GONE."""
    max_settings_size: int = 4 << 10
    """Bytes of a SETTINGS frame; more are H3_EXCESSIVE_LOAD."""
    qpack_blocked_streams: int = 16
    """Requests per connection that may wait for the peer's QPACK encoder stream (RFC 9204 §2.1.2)."""
    qpack_encoder_capacity: int = 4 << 10
    """Bytes of a table at the peer that are used for what is sent repeatedly, if it allows that; 0: none."""
    qpack_max_table_capacity: int = 4 << 10
    """Bytes of the table that a peer's QPACK encoder may fill here (RFC 9204 §3.2.3); 0: none."""

    _ranges: ClassVar[dict[str, _Range]] = _BASE_RANGES

    @classmethod
    def from_dict(cls, *, config_dict: dict[str, Any]) -> Self:
        """Make a configuration of the known keys of a dictionary; unknown keys are ignored, nothing is
        validated.

        `verify_mode` may be the name of a member of `ssl.VerifyMode`, `bind_port` a numeral.
        """
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in config_dict.items() if key in known}
        mode = values.get("verify_mode")
        if isinstance(mode, str) and mode in ssl.VerifyMode.__members__:
            values["verify_mode"] = ssl.VerifyMode[mode]
        port = values.get("bind_port")
        if isinstance(port, str) and port.isascii() and port.isdecimal():
            values["bind_port"] = int(port)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All values by name, in a form that `from_dict` takes and JSON can carry."""
        values = {item.name: copy.deepcopy(getattr(self, item.name)) for item in fields(self)}
        if isinstance(mode := values.get("verify_mode"), ssl.VerifyMode):
            values["verify_mode"] = mode.name
        return values

    def copy(self) -> Self:
        """A copy that shares nothing with the original."""
        return copy.deepcopy(self)

    def update(self, **kwargs: Any) -> Self:
        """A validated copy with some values replaced.

        Raises:
            ConfigurationError: a name is unknown, or a value cannot be used.
        """
        known = {item.name for item in fields(self)}
        for key in kwargs:
            if key not in known:
                raise ConfigurationError(
                    f"unknown configuration key {key!r}", config_key=key, config_value=kwargs[key]
                )
        changed = self.copy()
        for key, value in kwargs.items():
            setattr(changed, key, value)
        changed.validate()
        return changed

    def validate(self) -> None:
        """Check every value.

        Raises:
            ConfigurationError: with the first value that cannot be used.
        """
        for key, (low, high) in self._ranges.items():
            value = getattr(self, key)
            if value is None and low == _TIME[0]:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise _unusable(key, value)
            if isinstance(value, float) and isinstance(type(self)._default(key), int):
                raise _unusable(key, value)
        if not self.alpn_protocols:
            raise _unusable("alpn_protocols", self.alpn_protocols)
        if self.congestion_control_algorithm not in CONGESTION_CONTROL_ALGORITHMS:
            raise _unusable("congestion_control_algorithm", self.congestion_control_algorithm)
        if (
            not self.drafts
            or len(set(self.drafts)) != len(self.drafts)
            or not set(self.drafts) <= set(DRAFTS)
        ):
            raise _unusable("drafts", self.drafts)

    @classmethod
    def _default(cls, key: str) -> Any:
        return cls.__dataclass_fields__[key].default


@dataclass(kw_only=True)
class ClientConfig(BaseConfig):
    """Configuration of a client."""

    ca_certs: str | None = None
    """Path of trusted certificates (PEM); default: those of the system."""
    certfile: str | None = None
    connect_timeout: float | None = c.DEFAULT_CONNECT_TIMEOUT
    connection_attempt_delay: float | None = c.DEFAULT_CONNECTION_ATTEMPT_DELAY
    """Pause before the next address of a name is tried beside the last one (RFC 8305 §5)."""
    headers: Headers = field(default_factory=dict)
    keyfile: str | None = None
    user_agent: str | None = None
    verify_mode: ssl.VerifyMode = ssl.CERT_REQUIRED
    wt_available_protocols: list[str] | None = None
    pool_sessions: bool = False
    """Sessions with one server share a connection where it takes several (draft-16 §5.1)."""
    certificate_hashes: list[bytes] = field(default_factory=list)
    """SHA-256 digests of server certificates to accept, in place of a chain to a trusted one."""

    _ranges: ClassVar[dict[str, _Range]] = {
        **_BASE_RANGES,
        "connect_timeout": _TIME,
        "connection_attempt_delay": _TIME,
    }

    def validate(self) -> None:
        """As `BaseConfig.validate`; certificate and key come together or not at all."""
        super().validate()
        if self.certfile and not self.keyfile:
            raise _unusable("keyfile", self.keyfile)
        if self.keyfile and not self.certfile:
            raise _unusable("certfile", self.certfile)
        if not isinstance(self.verify_mode, ssl.VerifyMode):
            raise _unusable("verify_mode", self.verify_mode)
        offered = self.wt_available_protocols
        if offered is not None and not (
            isinstance(offered, list) and all(isinstance(name, str) for name in offered)
        ):
            raise _unusable("wt_available_protocols", offered)
        for digest in self.certificate_hashes:
            if len(digest) != 32:
                raise _unusable("certificate_hashes", digest)


@dataclass(kw_only=True)
class ServerConfig(BaseConfig):
    """Configuration of a server."""

    bind_host: str = c.DEFAULT_BIND_HOST
    """Address to listen at; `::` takes IPv4 as well."""
    bind_port: int = c.DEFAULT_DEV_PORT
    """UDP port; 0 takes a free one."""
    ca_certs: str | None = None
    certfile: str
    keyfile: str
    verify_mode: ssl.VerifyMode = ssl.CERT_NONE
    max_handshakes: int = 512
    """Unfinished handshakes from which on every address has to prove itself with Retry."""
    max_handshakes_per_address: int = 256
    """Unfinished handshakes of one address from which on it has to prove it with Retry (RFC 9000 §8.1.2).

    IPv6: of a /64. With four times as many, and at least 16, further ones are refused.
    """
    handshake_timeout: float = 10.0
    """Seconds that a handshake may take, the client's SETTINGS included."""
    first_request_timeout: float | None = 30.0
    """Seconds from the first packet of a connection to its first request of any kind; `None`: any time."""
    early_data: bool = False
    """Take 0-RTT; a request in it is seen once the handshake is complete (draft-16 §3.2, RFC 8470 §3)."""

    _ranges: ClassVar[dict[str, _Range]] = {
        **_BASE_RANGES,
        "bind_port": (0, 65535),
        "max_handshakes": (0, math.inf),
        "max_handshakes_per_address": (0, math.inf),
        "handshake_timeout": _TIME,
        "first_request_timeout": _TIME,
    }

    def validate(self) -> None:
        """As `BaseConfig.validate`; clients can be verified only against `ca_certs`."""
        super().validate()
        if not self.bind_host:
            raise _unusable("bind_host", self.bind_host)
        if not isinstance(self.verify_mode, ssl.VerifyMode):
            raise _unusable("verify_mode", self.verify_mode)
        if self.verify_mode != ssl.CERT_NONE and not self.ca_certs:
            raise _unusable("ca_certs", self.ca_certs)
        for key in ("certfile", "keyfile"):
            if getattr(self, key) is None:
                raise _unusable(key, None)


def _unusable(key: str, value: Any) -> ConfigurationError:
    return ConfigurationError(f"{key}: {value!r} cannot be used", config_key=key, config_value=value)


__all__ = ["BaseConfig", "ClientConfig", "ServerConfig"]
