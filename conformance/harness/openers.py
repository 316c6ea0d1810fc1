"""Openers: how a connection to a target is made, over UDP to a URL or in memory to a host of ours."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from conformance.peer.events import EventHandler
from conformance.peer.options import ConnectFailed
from conformance.peer.quic import (
    Address,
    Host,
    Link,
    MemoryNetwork,
    QuicOptions,
    QuicPeer,
    UdpLink,
)

DEFAULT_PATH = "/echo"
DEFAULT_PORT = 443


class InvalidTarget(ValueError):
    """The URL or an option of the target cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a URL points: host and port to connect to, and what the request names."""

    host: str
    port: int
    authority: str
    path: str


def parse_url(url: str) -> Location:
    """Split a target URL; raises InvalidTarget where it is not an absolute https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidTarget(f"{url!r} is not a URL: {error}") from None
    if parts.scheme != "https" or not parts.hostname:
        raise InvalidTarget(
            f"{url!r} is not a target: expected https://HOST[:PORT][/PATH], 'model' or 'reference'"
        )
    if parts.username is not None or parts.fragment:
        raise InvalidTarget(f"{url!r}: neither user information nor a fragment belongs into a target")
    path = parts.path or DEFAULT_PATH
    if parts.query:
        path += f"?{parts.query}"
    authority = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port not in (None, DEFAULT_PORT):
        authority += f":{port}"
    return Location(parts.hostname, port or DEFAULT_PORT, authority, path)


def parse_host_port(text: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` (``[ADDRESS]:PORT`` for IPv6); raises InvalidTarget."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidTarget(f"{text!r}: expected HOST:PORT")
    return host, int(port)


def resolve(host: str, port: int) -> Address:
    """Return the first numeric address; raises InvalidTarget for an unknown host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise InvalidTarget(f"host {host!r} is not known: {error.strerror or error}") from None
    return tuple(found[0][4])


def is_loopback(address: Address) -> bool:
    """Tell whether an address belongs to this machine's loopback interface."""
    return ip_address(str(address[0]).partition("%")[0]).is_loopback


@dataclass(frozen=True, slots=True)
class UdpOpener:
    """Connects over UDP; ``address`` is numeric, ``quic`` holds trust and certificates."""

    location: Location
    address: Address
    quic: QuicOptions

    @property
    def authority(self) -> str:
        """The value of :authority."""
        return self.location.authority

    @property
    def path(self) -> str:
        """The path of the session endpoint."""
        return self.location.path

    def __call__(self, handler: EventHandler, overrides: Mapping[str, Any]) -> tuple[QuicPeer, Link]:
        """Open a socket and start the handshake; raises ConnectFailed."""
        peer = QuicPeer(replace(self.quic, **overrides), handler)
        try:
            link = UdpLink.client(peer, self.address)
        except OSError as error:
            raise ConnectFailed("unreachable", error.strerror or str(error)) from error
        peer.connect(self.address, link.now())
        return peer, link


@dataclass(slots=True)
class MemoryOpener:
    """Connects to a host of ours over a network in memory, with a virtual clock.

    ``make_host`` makes the server; it is made anew for each opener, not for each connection.
    """

    make_host: Callable[[], Host]
    quic: QuicOptions
    authority: str = "localhost"
    path: str = DEFAULT_PATH
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    _host: Host | None = None
    _clients: int = 0

    server: Address = ("server", 443)

    def __call__(self, handler: EventHandler, overrides: Mapping[str, Any]) -> tuple[QuicPeer, Link]:
        """Attach a client to the network and start the handshake."""
        if self._host is None:
            self._host = self.make_host()
            self.network.attach(self._host, self.server)
        self._clients += 1
        peer = QuicPeer(replace(self.quic, **overrides), handler)
        self.network.attach(peer, ("client", self._clients))
        peer.connect(self.server, self.network.now())
        return peer, self.network.link(peer)
