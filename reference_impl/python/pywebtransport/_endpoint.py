"""The bridge between the compiled core and an event loop.

The core has a thread of its own; it makes a file descriptor readable once per batch of events. This module
drains the batch in the loop and calls the object that each event is for. Nothing here blocks, and nothing is
polled.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from pywebtransport import _core
from pywebtransport._deadlines import Deadlines
from pywebtransport._linger import Linger
from pywebtransport.config import CORE_LIMITS, BaseConfig, ClientConfig, ServerConfig
from pywebtransport.constants import DEFAULT_CLOSE_TIMEOUT
from pywebtransport.exceptions import CertificateError, ConfigurationError
from pywebtransport.types import Headers

logger = logging.getLogger(__name__)

_CONGESTION: Final = {"cubic": "cubic", "reno": "newreno", "bbr": "bbr"}
_VERIFY: Final = {
    ssl.CERT_NONE: "none",
    ssl.CERT_OPTIONAL: "optional",
    ssl.CERT_REQUIRED: "required",
}
_READABLE: Final = _core.READABLE
_JOIN_TIMEOUT: Final = 5.0
"""Seconds that the I/O thread gets to end once it has been told to."""


class Target:
    """What events can be addressed to: a connection, a session or a stream."""

    __slots__ = ()

    def _on_event(self, kind: int, details: tuple[Any, ...]) -> None:
        raise NotImplementedError

    def _on_readable(self) -> None:
        """A stream has something to read."""
        raise NotImplementedError

    def _on_child(self, handle: int, *details: Any) -> None:
        """A session was requested on a connection, or a stream opened in a session."""
        raise NotImplementedError

    def _on_failure(self, error: str) -> None:
        """The I/O thread has failed: a connection is over, and with it what belongs to it."""


class Owner(Protocol):
    """A client or server: gets the connections that it did not make itself."""

    def _on_connection(self, handle: int, info: dict[str, Any]) -> None: ...


class EndpointDriver:
    """One endpoint of the core, attached to the running event loop.

    Args:
        role: `"client"` or `"server"`.
        config: the configuration, validated.
        owner: gets new connections.
        bind: addresses to bind; the default of the core where empty.

    Raises:
        ConfigurationError: the core does not take a value.
        CertificateError: a certificate or key cannot be read.
        OSError: an address cannot be bound.
    """

    def __init__(
        self,
        role: Literal["client", "server"],
        config: ClientConfig | ServerConfig,
        owner: Owner,
        bind: Iterable[tuple[str, int]] = (),
    ) -> None:
        settings = core_settings(config)
        if addresses := list(bind):
            settings["bind"] = addresses
        try:
            self.core = _core.Endpoint(role, settings)
        except _core.ConfigError as error:
            raise ConfigurationError(str(error)) from error
        self.config = config
        self.targets: dict[int, Target] = {}
        self._owner = owner
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[str | None] = self.loop.create_future()
        self._fd = self.core.fileno()
        self.loop.add_reader(self._fd, self._dispatch)
        self._deadlines: dict[float, Deadlines] = {}
        self._linger = Linger(self.loop, config.busy_wait)
        # The I/O thread is woken once for all that a turn of the loop does
        self.core.defer(self.loop.call_soon)

    @property
    def is_closed(self) -> bool:
        """Whether the I/O thread has ended."""
        return self._closed.done()

    def deadlines(self, seconds: float) -> Deadlines:
        """What ends waits after so many seconds."""
        found = self._deadlines.get(seconds)
        if found is None:
            found = self._deadlines[seconds] = Deadlines(self.loop, seconds)
        return found

    @property
    def closing(self) -> Deadlines | None:
        """What ends waits after the `close_timeout` of the configuration, if it has one."""
        seconds = self.config.close_timeout
        return None if seconds is None else self.deadlines(seconds)

    async def answer(self, token: int) -> Any:
        """Wait for the answer to a query of the core; `None` where there is none."""
        if self.is_closed:
            return None
        future: asyncio.Future[Any] = self.loop.create_future()
        self._answers[token] = future
        try:
            return await future
        finally:
            self._answers.pop(token, None)

    async def wait_closed(self) -> str | None:
        """Wait for the end of the endpoint. Returns the message of an internal failure, else `None`."""
        return await asyncio.shield(self._closed)

    def catch_up(self) -> None:
        """If the I/O thread has ended, have that heard now, so that whoever is refused can say why."""
        rounds = 64
        while self.core.ended and not self.is_closed and rounds:
            rounds -= 1
            self._dispatch()

    async def close(
        self, *, code: int = 0x100, reason: str = "", timeout: float | None = DEFAULT_CLOSE_TIMEOUT
    ) -> None:
        """Close all connections with an HTTP/3 code and end the I/O thread, also when cancelled meanwhile.

        Peers that do not answer are waited for up to `timeout` seconds, by default if `None`.
        """
        timeout = DEFAULT_CLOSE_TIMEOUT if timeout is None else timeout
        # With nothing open there is no peer to wait for.
        self.core.close(code, reason, timeout if self.targets else 0.0)
        try:
            async with asyncio.timeout(timeout + _JOIN_TIMEOUT):
                await self.wait_closed()
        except TimeoutError:
            logger.error("the I/O thread did not end in time")
        finally:
            self.loop.remove_reader(self._fd)
            self.core.join(_JOIN_TIMEOUT)
            self._finish(None)

    def _dispatch(self) -> None:
        targets = self.targets
        if self.core.borrows:
            self._linger.packet()
        for event in self.core.drain():
            kind, handle = event[0], event[1]
            try:
                target = targets.get(handle)
                if kind == _READABLE:
                    if target is not None:
                        target._on_readable()
                elif target is not None and kind != _core.ANSWER:
                    target._on_event(kind, event[2:])
                else:
                    self._on_other(kind, handle, event[2:])
            except Exception:
                logger.exception("an event of the core could not be handled")

    def _on_other(self, kind: int, handle: int, details: tuple[Any, ...]) -> None:
        if kind == _core.ANSWER:
            future = self._answers.get(handle)
            if future is not None and not future.done():
                future.set_result(details[0])
        elif kind in (_core.STREAM_INCOMING, _core.SESSION_REQUEST):
            parent = self.targets.get(details[0])
            if parent is not None:
                parent._on_child(handle, *details[1:])
            elif kind == _core.STREAM_INCOMING:
                self.core.release(handle)
        elif kind == _core.CONNECTION_READY:
            self._owner._on_connection(handle, details[0])
        elif kind == _core.ENDPOINT_CLOSED:
            self.loop.remove_reader(self._fd)
            self._finish(details[0])

    def _finish(self, error: str | None) -> None:
        for deadlines in self._deadlines.values():
            deadlines.close()
        for future in self._answers.values():
            if not future.done():
                future.set_result(None)
        if not self._closed.done():
            if error is not None:
                logger.critical("the core failed: %s", error)
                for target in list(self.targets.values()):
                    target._on_failure(error)
            self._closed.set_result(error)


def core_settings(config: ClientConfig | ServerConfig) -> dict[str, Any]:
    """The configuration in the words of the core."""
    settings: dict[str, Any] = {
        "alpn": config.alpn_protocols,
        "congestion": _CONGESTION[config.congestion_control_algorithm],
        "drafts": config.drafts,
        "idle_timeout": float(config.connection_idle_timeout or 0.0),
        "keep_alive": float(config.keep_alive_interval or 0.0),
        "stream_receive_window": config.quic_stream_receive_window,
        "receive_window": config.quic_receive_window,
        "send_window": config.quic_send_window,
        "max_bidi_streams": min(config.quic_max_concurrent_bidi_streams, config.max_transport_streams),
        "max_uni_streams": min(config.quic_max_concurrent_uni_streams, config.max_transport_streams),
        "max_field_section_size": config.max_field_section_size,
        "max_sessions": config.max_sessions,
        "initial_max_data": config.initial_max_data,
        "initial_max_streams_bidi": config.initial_max_streams_bidi,
        "initial_max_streams_uni": config.initial_max_streams_uni,
        "stream_read_buffer": config.max_stream_read_buffer_size,
        "stream_write_buffer": config.max_stream_write_buffer_size,
        "max_datagrams_queued": config.max_total_pending_events,
        "verify": _VERIFY[config.verify_mode],
        "max_datagram_capsule": config.max_capsule_size,
        **{name: getattr(config, key) for key, name in CORE_LIMITS.items()},
    }
    if not config.flow_control_window_auto_scale_enabled:
        settings["max_data_window"] = config.initial_max_data
    optional = {
        "certificate": _read(config.certfile),
        "private_key": _read(config.keyfile),
        "ca": _read(config.ca_certs),
        "keylog_file": config.keylog_file,
    }
    if config.qlog_folder is not None:
        settings["qlog"] = (config.qlog_folder, config.qlog_max_files, config.qlog_max_file_size)
    settings.update({key: value for key, value in optional.items() if value is not None})
    if isinstance(config, ServerConfig):
        settings["max_connections"] = config.max_connections
        settings["max_handshakes"] = config.max_handshakes
        settings["max_handshakes_per_address"] = config.max_handshakes_per_address
        settings["handshake_timeout"] = float(config.handshake_timeout)
        settings["first_request_timeout"] = float(config.first_request_timeout or 0.0)
        settings["early_data"] = config.early_data
    else:
        if config.connect_timeout is not None:
            settings["handshake_timeout"] = float(config.connect_timeout)
        if config.certificate_hashes:
            settings["certificate_hashes"] = config.certificate_hashes
    return settings


def header_lines(headers: Headers | None) -> list[tuple[str, str]]:
    """Field lines as the core takes them: names in lower case, octets as latin-1."""
    if not headers:
        return []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(_text(name).lower(), _text(value)) for name, value in pairs]


def header_bytes(lines: Iterable[tuple[str, str]]) -> list[tuple[str | bytes, str | bytes]]:
    """Field lines of the core as pairs of bytes."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]


def emitter_limits(config: BaseConfig) -> dict[str, int]:
    """The arguments of an `EventEmitter` for a configuration."""
    return {
        "max_listeners": config.max_event_listeners,
        "max_history": config.event_history_capacity,
        "max_queue_size": config.event_queue_capacity,
    }


def _text(value: str | bytes) -> str:
    # Octets outside of ASCII go out as UTF-8; the core wants one character per octet.
    return value.decode("latin-1") if isinstance(value, bytes) else value.encode().decode("latin-1")


def _read(path: str | None) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}", path=path) from error
