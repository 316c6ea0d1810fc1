"""Openers: where connections go to, and over which link. Each call opens a new connection."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from conformance.peer.bounds import LoadBounds
from conformance.peer.events import EventHandler
from conformance.peer.options import ConnectFailed
from conformance.peer.quic.connection import QuicPeer
from conformance.peer.quic.link import Host, Link
from conformance.peer.quic.memory import MemoryNetwork
from conformance.peer.quic.options import Address, QuicOptions
from conformance.peer.quic.udp import UdpLink

DEFAULT_PORT = 443
DEFAULT_PATH = "/echo"
MEMORY_SERVER: Address = ("server", DEFAULT_PORT)


class InvalidUrl(ValueError):
    """The URL is not ``https://host[:port][/path][?query]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpOpener:
    """Connections over UDP to the host of a URL.

    ``connect_to`` (host, port) replaces the URL's host and port for the socket only. ``quic`` holds fields
    of QuicOptions for every connection: ``insecure``, ``ca_file``, a client certificate, ... ``bounds``
    limits the load.
    """

    url: str
    connect_to: tuple[str, int] | None = None
    bind: Address | None = None
    quic: Mapping[str, Any] = field(default_factory=dict)
    bounds: LoadBounds = field(default_factory=LoadBounds, compare=False)

    def __post_init__(self) -> None:
        """Check the URL. Raises InvalidUrl."""
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise InvalidUrl(f"{self.url}: {error}") from error
        if not valid:
            raise InvalidUrl(f"{self.url}: a target is https://host[:port][/path]")

    @property
    def authority(self) -> str:
        """The value of :authority: host and, where the URL has one, port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def path(self) -> str:
        """Path and query; ``/echo`` where the URL has no path."""
        parts = urlsplit(self.url)
        path = DEFAULT_PATH if parts.path in ("", "/") else parts.path
        return f"{path}?{parts.query}" if parts.query else path

    def __call__(self, handler: EventHandler, overrides: Mapping[str, Any]) -> tuple[QuicPeer, Link]:
        """Open a socket and queue the first packet.

        Raises ConnectFailed("unreachable") without a route, TooManyConnections.
        """
        parts = urlsplit(self.url)
        host, port = self.connect_to or (parts.hostname or "", parts.port or DEFAULT_PORT)
        options = {"is_client": True, "server_name": _server_name(parts.hostname or ""), **self.quic}
        quic = QuicPeer(QuicOptions(**{**options, **overrides}), handler)
        self.bounds.opening()
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            address: Address = infos[0][4]
            link = UdpLink.client(quic, address, bind=self.bind, closed=self.bounds.closed)
        except OSError as error:
            self.bounds.closed()
            raise ConnectFailed("unreachable", f"{host}: {error.strerror or error}") from error
        quic.connect(address, link.now())
        return quic, link


def _server_name(host: str) -> str:
    """Return the host as the TLS stack wants it: brackets and zone of an IPv6 address removed."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return host


@dataclass(slots=True, kw_only=True)
class MemoryOpener:
    """Connections in memory to a server host (model server, deviant), with a virtual clock.

    ``prepare`` gets each connection before its first packet (to set filters).
    """

    server: Host
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    authority: str = "localhost"
    path: str = DEFAULT_PATH
    quic: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[QuicPeer], None] | None = None
    _clients: int = 0

    def __post_init__(self) -> None:
        """Attach the server to the network."""
        self.network.attach(self.server, MEMORY_SERVER)

    def __call__(self, handler: EventHandler, overrides: Mapping[str, Any]) -> tuple[QuicPeer, Link]:
        """Attach a new client and queue its first packet."""
        options = {"is_client": True, "server_name": "localhost", "insecure": True, **self.quic}
        quic = QuicPeer(QuicOptions(**{**options, **overrides}), handler)
        if self.prepare is not None:
            self.prepare(quic)
        self._clients += 1
        self.network.attach(quic, (f"client-{self._clients}", 1024 + self._clients % 60000))
        link = self.network.link(quic)
        quic.connect(MEMORY_SERVER, link.now())
        return quic, link
