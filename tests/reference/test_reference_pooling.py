"""Sessions that share a connection, and sessions that do not wait for the answer of their server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport import ClientError, ConnectionError, SessionError, WebTransportSession
from pywebtransport.framework import MiddlewareRejected
from pywebtransport.types import EventType, SessionState
from reference_programs import client, echo, serving

Run = Callable[[Any], Any]

pytestmark = pytest.mark.usefixtures("built")


async def echoes(session: WebTransportSession, text: bytes = b"Hello") -> None:
    stream = await session.create_bidirectional_stream()
    await stream.write_all(data=text, end_stream=True)
    assert await stream.read_all() == text


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("draft", [16, 14])
def test_sessions_share_a_connection_if_asked_to(
    run: Run, certificate: tuple[str, str], shared: bool, draft: int
) -> None:
    async def main() -> None:
        async with (
            serving(certificate, echo, drafts=[draft]) as url,
            client(pool_sessions=shared) as peer,
        ):
            sessions = await asyncio.gather(*(peer.connect(url=url) for _ in range(4)))
            assert len({session.connection.handle for session in sessions}) == (1 if shared else 4)
            ids = {session.session_id for session in sessions}
            assert len(ids) == (4 if shared else 1)
            await asyncio.gather(
                *(echoes(session, str(number).encode() * 9000) for number, session in enumerate(sessions))
            )
            for session in sessions[1:]:
                await session.close()
            await echoes(sessions[0])

    run(main())


@pytest.mark.parametrize(
    ("draft", "limit", "per_connection"),
    [
        (16, {"max_sessions": 2}, 2),
        (16, {"initial_max_data": 0, "initial_max_streams_bidi": 0, "initial_max_streams_uni": 0}, 1),
        (14, {"max_sessions": 1}, 1),
        (7, {"max_sessions": 3}, 3),
    ],
)
def test_what_a_connection_does_not_take_gets_another(
    run: Run, certificate: tuple[str, str], draft: int, limit: dict[str, int], per_connection: int
) -> None:
    """One session without flow control (draft-16 §5.1), as many as the setting says in draft-07."""

    async def main() -> None:
        async with (
            serving(certificate, echo, drafts=[draft], **limit) as url,
            client(pool_sessions=True) as peer,
        ):
            sessions = [await peer.connect(url=url) for _ in range(4)]
            handles = [session.connection.handle for session in sessions]
            assert max(map(handles.count, handles)) == per_connection
            for session in sessions:
                await echoes(session)

    run(main())


def test_a_refusal_leaves_the_other_sessions_of_a_connection(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client(pool_sessions=True) as peer:
            session = await peer.connect(url=url)
            with pytest.raises(ClientError) as refused:
                await peer.connect(url=url + "nowhere")
            assert refused.value.details["status"] == 405
            await echoes(session)
            assert sum((await peer.diagnostics()).connection_states.values()) == 1

    run(main())


def test_a_cancelled_request_leaves_the_other_sessions_of_a_connection(
    run: Run, certificate: tuple[str, str]
) -> None:
    async def main() -> None:
        asked, is_first = asyncio.Event(), True

        async def slow(*, session: Any) -> None:
            nonlocal is_first
            if not is_first:
                asked.set()
                await asyncio.Event().wait()
            is_first = False

        async with (
            serving(certificate, echo, middleware=slow) as url,
            client(pool_sessions=True) as peer,
        ):
            session = await peer.connect(url=url)
            task = asyncio.ensure_future(peer.connect(url=url))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await echoes(session)

    run(main())


def test_an_early_session_is_used_before_its_answer(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def wait(*, session: Any) -> None:
            await gate.wait()

        async with serving(certificate, echo, middleware=wait) as url, client() as peer:
            session = await peer.connect_optimistic(url=url)
            assert session.state is SessionState.CONNECTING
            pending = await session.events.wait_for(event_type=EventType.SESSION_PENDING, timeout=5)
            assert pending.data["session"] is session  # type: ignore[index]
            work = asyncio.ensure_future(echoes(session))
            await session.send_datagram(data=b"early")
            gate.set()
            await work
            await session.ensure_ready()
            assert session.state is SessionState.CONNECTED
            event = await session.events.wait_for(event_type=EventType.DATAGRAM_RECEIVED, timeout=5)
            assert event.data["data"] == b"early"  # type: ignore[index]

    run(main())


def test_an_early_session_that_is_refused(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async def refuse(*, session: Any) -> None:
            raise MiddlewareRejected(status_code=403)

        async with serving(certificate, echo, middleware=refuse) as url, client() as peer:
            session = await peer.connect_optimistic(url=url)
            with pytest.raises(SessionError) as refused:
                await session.ensure_ready()
            assert refused.value.details["status"] == 403
            assert session.is_closed
            with pytest.raises(SessionError):
                await session.ensure_ready()

    run(main())


def test_only_clients_ask_for_sessions(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async def ask(session: WebTransportSession) -> None:
            with pytest.raises(ConnectionError):
                await session.connection.create_session(authority="localhost", path="/")
            await session.close(error_code=1)

        async with serving(certificate, ask) as url, client() as peer:
            session = await peer.connect(url=url)
            await session.wait_closed()
            assert session.close_code == 1

    run(main())
