"""The end of an application: everything that has to happen then happens, whatever goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest
from pywebtransport import ServerApp, ServerConfig, WebTransportSession
from reference_programs import client

Run = Callable[[Any], Any]

pytestmark = pytest.mark.usefixtures("built")


class Keeper:
    """A middleware with an end."""

    def __init__(self, ends: list[str]) -> None:
        self._ends = ends

    async def __call__(self, *, session: Any) -> None: ...

    async def __aenter__(self) -> Keeper:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.append("middleware")


def application(certificate: tuple[str, str], ends: list[str]) -> ServerApp:
    app = ServerApp(config=ServerConfig(certfile=certificate[0], keyfile=certificate[1]))
    app.add_middleware(middleware=Keeper(ends))

    @app.on_shutdown
    async def first() -> None:
        assert not app.server.is_serving
        await asyncio.sleep(0)
        ends.append("first")

    @app.on_shutdown
    def second() -> None:
        ends.append("second")

    return app


ALL = ["first", "second", "middleware"]


@pytest.mark.parametrize("stubborn", [False, True], ids=["closing", "waiting for a handler"])
def test_an_end_that_is_cancelled_is_complete(run: Run, certificate: tuple[str, str], stubborn: bool) -> None:
    async def main() -> None:
        ends: list[str] = []
        app = application(certificate, ends)
        started = asyncio.Event()
        began = asyncio.Event()
        go_on = asyncio.Event()

        async def hold(session: WebTransportSession) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                began.set()
                if stubborn:
                    await go_on.wait()

        app.route(path="/")(hold)
        await app.startup()
        await app.server.listen(host="127.0.0.1", port=0)
        async with client() as peer:
            await peer.connect(url=f"https://127.0.0.1:{app.server.local_addresses[0][1]}/")
            # A handler that has not begun has no end either
            await started.wait()
            ending = asyncio.ensure_future(app.shutdown())
            await began.wait()
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending
            assert ends == ALL
            go_on.set()
        await app.shutdown()
        assert ends == ALL

    run(main())


def test_a_function_that_fails_keeps_no_other_from_being_called(
    run: Run, certificate: tuple[str, str]
) -> None:
    async def main() -> None:
        ends: list[str] = []
        app = application(certificate, ends)

        @app.on_shutdown
        def broken() -> None:
            raise ZeroDivisionError

        @app.on_shutdown
        def last() -> None:
            ends.append("last")

        await app.startup()
        with pytest.raises(ZeroDivisionError):
            await app.shutdown()
        assert ends == ["first", "second", "last", "middleware"]

    run(main())
