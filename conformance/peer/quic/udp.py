"""Hosts on real sockets: one blocking, single-threaded driver with deadlines."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Self

from conformance.peer.quic.link import Host
from conformance.peer.quic.options import Address

MAX_UDP_PAYLOAD = 65535
BATCH = 64
BUFFER_SIZE = 4 * 1024 * 1024
MAX_ERRORS = 64
# The longest wait of serve() before it looks at its stop event again.
STOP_INTERVAL = 0.1


@dataclass(frozen=True, slots=True)
class LinkError:
    """A datagram that could not be sent, or an ICMP error that the kernel reported."""

    time: float
    errno: int
    text: str
    address: Address | None

    @property
    def refused(self) -> bool:
        """Tell whether nothing listens on the other side's port."""
        return self.errno == errno.ECONNREFUSED


class UdpLink:
    """One host on one UDP socket; the clock is the monotonic one.

    Errors of the socket do not end anything by themselves (QUIC treats them as loss, RFC 9000 §14.2.1);
    the last ones are kept in ``errors``.
    """

    def __init__(self, host: Host, sock: socket.socket) -> None:
        self.host = host
        self.errors: deque[LinkError] = deque(maxlen=MAX_ERRORS)
        self._socket = sock
        self._unsent: deque[tuple[bytes, Address]] = deque()
        self._remote: Address | None = None
        # One for all datagrams: a fresh one of the largest size for each would leave the heap in pieces.
        self._buffer = memoryview(bytearray(MAX_UDP_PAYLOAD))
        self._closed: Callable[[], None] | None = None

    @classmethod
    def client(
        cls,
        host: Host,
        address: Address,
        *,
        bind: Address | None = None,
        closed: Callable[[], None] | None = None,
    ) -> Self:
        """Open a socket for a client host that talks to ``address``, which is numeric.

        ``closed`` is called once, when the link is closed. The socket is connected, so that an ICMP
        "port unreachable" is noticed (``refused``).
        Raises OSError where the address cannot be used.
        """
        link = cls(host, _open(address, bind))
        link._remote = address
        link._socket.connect(address)
        link._closed = closed
        return link

    @classmethod
    def server(cls, host: Host, address: Address) -> Self:
        """Open a socket for a server host, bound to ``address`` (port 0: any free one)."""
        return cls(host, _open(address, address))

    @property
    def address(self) -> Address:
        """The local address."""
        return tuple(self._socket.getsockname())

    @property
    def refused(self) -> bool:
        """Tell whether the kernel reported that nothing listens on the other side."""
        return any(error.refused for error in self.errors)

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def rebind(self, bind: Address | None = None) -> None:
        """Go on from a new socket, as after a NAT rebinding (clients only)."""
        if self._remote is None:
            raise ValueError("only the link of a client can be bound anew")
        fresh = _open(self._remote, bind)
        fresh.connect(self._remote)
        self._socket.close()
        self._socket = fresh

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Pump until ``done()`` holds or ``timeout`` seconds passed; return whether it held."""
        deadline = self.now() + timeout
        while True:
            self._send()
            if done():
                return True
            self._send()  # done() may have queued something
            timer = self.host.timer()
            self._wait((deadline if timer is None else min(deadline, timer)) - self.now())
            self._receive()
            now = self.now()
            timer = self.host.timer()
            if timer is not None and timer <= now:
                self.host.handle_timer(now)
            if now >= deadline:
                self._send()
                return done()

    def serve(self, stop: Event) -> None:
        """Pump until ``stop`` is set (by another thread or a signal handler)."""
        while not stop.is_set():
            self.run_until(stop.is_set, STOP_INTERVAL)

    def close(self) -> None:
        """Send what is queued, then close the socket."""
        self._send()
        self._socket.close()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    def _wait(self, timeout: float) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        poll.poll(max(0.0, timeout) * 1000)

    def _receive(self) -> None:
        for _ in range(BATCH):
            try:
                length, address = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self._note(error, self._remote)
                continue
            # A connected socket hears one address only; the kernel may spell it in a longer form.
            self.host.receive(bytes(self._buffer[:length]), self._remote or address, self.now())

    def _send(self) -> None:
        self._unsent.extend(self.host.pending(self.now()))
        while self._unsent:
            data, address = self._unsent[0]
            try:
                if address == self._remote:
                    self._socket.send(data)
                else:
                    self._socket.sendto(data, address)
            except BlockingIOError:
                return
            except OSError as error:
                self._note(error, address)
            self._unsent.popleft()

    def _note(self, error: OSError, address: Address | None) -> None:
        self.errors.append(LinkError(self.now(), error.errno or 0, error.strerror or str(error), address))


def _open(address: Address, bind: Address | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in str(address[0]) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_SIZE)
        if bind is not None:
            sock.bind(bind)
    except OSError:
        sock.close()
        raise
    return sock


def serve_forever(
    host: Host,
    stop: Event,
    *,
    address: Address = ("127.0.0.1", 0),
    ready: Callable[[Address], None] | None = None,
) -> None:
    """Serve a host on a UDP address until ``stop`` is set; ``ready`` is told the bound address."""
    link = UdpLink.server(host, address)
    try:
        if ready is not None:
            ready(link.address)
        link.serve(stop)
    finally:
        link.close()
