"""Where a URL leads: its parts, its addresses, and the race between them (RFC 8305)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pywebtransport.exceptions import ConnectionError
from pywebtransport.types import Address

HTTPS_PORT: Final = 443

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """The target of a URL."""

    host: str
    port: int
    authority: str
    path: str


@lru_cache(maxsize=64)
def parse_url(url: str) -> Origin:
    """Take a `https` URL apart.

    Raises:
        ValueError: it has another scheme, no host, or a port out of range.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise ValueError(f"{url!r} is not an https URL")
    if not parts.hostname:
        raise ValueError(f"{url!r} has no host")
    host = parts.hostname
    port = HTTPS_PORT if parts.port is None else parts.port
    literal = f"[{host}]" if ":" in host else host
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(host, port, literal if port == HTTPS_PORT else f"{literal}:{port}", path)


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host, families alternating, IPv6 first where the resolver puts it first.

    Raises:
        ConnectionError: the name cannot be resolved.
    """
    try:
        return [(str(ipaddress.ip_address(host)), port)]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise ConnectionError(f"{host} cannot be resolved: {error}") from error
    families: dict[int, list[Address]] = {}
    for family, _, _, _, address in found:
        item = (str(address[0]), port)
        if item not in families.setdefault(family, []):
            families[family].append(item)
    rows = list(families.values())
    return [row[i] for i in range(max(map(len, rows), default=0)) for row in rows if i < len(row)]


async def race(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    delay: float | None,
    discard: Callable[[T], None],
) -> T:
    """Start attempts `delay` seconds apart, or at once when the last one failed; the first success wins.
    Without a delay each waits for the failure of the one before.

    The others are cancelled and awaited. One that succeeded all the same, or all that did if the race itself
    is cancelled, are discarded.

    Raises:
        Exception: that of the last attempt to fail, if none succeeds.
    """
    waiting = list(reversed(attempts))
    tasks: set[asyncio.Task[T]] = set()
    winner: asyncio.Task[T] | None = None
    try:
        error: BaseException = OSError("there is no address")
        running: set[asyncio.Task[T]] = set()
        while waiting or running:
            if waiting:
                task = asyncio.ensure_future(waiting.pop()())
                tasks.add(task)
                running.add(task)
            done, running = await asyncio.wait(
                running, timeout=delay if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (failure := task.exception()) is None:
                    winner = task
                    return task.result()
                error = failure
        raise error
    finally:
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            winner = None
            raise
        finally:
            for task in tasks - {winner}:
                if task.done() and not task.cancelled() and task.exception() is None:
                    discard(task.result())
