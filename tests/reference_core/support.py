"""Two endpoints of the compiled core, driven without an event loop."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_core: Any = pytest.importorskip("pywebtransport._core", reason="the reference is not built")
if not (getattr(_core, "__file__", None) or "").endswith((".so", ".pyd")):
    pytest.skip("the reference is not built", allow_module_level=True)

core = _core
DEADLINE = 20.0
"""Seconds; only a test that fails waits for it."""


class Side:
    """An endpoint and the events that nobody has asked for yet, by kind."""

    def __init__(self, role: str, **config: Any) -> None:
        self.endpoint = core.Endpoint(role, config)
        self.events: dict[int, list[tuple[Any, ...]]] = defaultdict(list)

    def poll(self) -> None:
        self.endpoint.wait(0.001)
        for event in self.endpoint.drain():
            self.events[event[0]].append(event)

    def expect(self, kind: int) -> tuple[Any, ...]:
        """The next event of a kind."""
        end = time.monotonic() + DEADLINE
        while not self.events[kind]:
            assert time.monotonic() < end, f"no event of kind {kind}: {dict(self.events)}"
            self.poll()
        return self.events[kind].pop(0)

    def answer(self, token: int) -> Any:
        """The result of a query."""
        while (event := self.expect(core.ANSWER))[1] != token:
            continue
        return event[2]

    def read(self, stream: int, limit: int = -1) -> bytes:
        """What has arrived, or what comes next; empty at the end."""
        while (data := self.endpoint.read(stream, limit)) is None:
            self.expect(core.READABLE)
        assert isinstance(data, bytes)
        return data

    def read_all(self, stream: int) -> bytes:
        return b"".join(iter(lambda: self.read(stream), b""))


class Pair:
    """A client and a server with one session."""

    def __init__(self, server: dict[str, Any], client: dict[str, Any]) -> None:
        certificate, key = core.generate_self_signed("localhost")
        bind = [("127.0.0.1", 0)]
        self.server = Side("server", bind=bind, certificate=certificate, private_key=key, **server)
        self.client = Side("client", bind=bind, verify="none", **client)
        self.connection = self.client.endpoint.connect(self.server.endpoint.local_addresses[0], "localhost")
        self.session = self.client.endpoint.request_session(self.connection, "localhost", "/")
        self.server_session = self.server.expect(core.SESSION_REQUEST)[1]
        self.server.endpoint.accept_session(self.server_session)
        self.client.expect(core.SESSION_READY)


@contextmanager
def pair(server: dict[str, Any] | None = None, client: dict[str, Any] | None = None) -> Iterator[Pair]:
    """A pair whose threads end with the block."""
    both = Pair(server or {}, client or {})
    try:
        yield both
    finally:
        for side in (both.client, both.server):
            side.endpoint.close(timeout=0.2)
        for side in (both.client, both.server):
            assert side.endpoint.join(DEADLINE)
