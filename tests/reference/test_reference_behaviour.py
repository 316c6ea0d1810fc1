"""Behaviour that programs for the established package rely on, beside names and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport import (
    ClientConfig,
    ClientError,
    ConfigurationError,
    Event,
    ServerConfig,
    SessionError,
    StreamError,
    WebTransportError,
    WebTransportSession,
)
from pywebtransport.types import EventType, SessionState
from reference_programs import client, echo, serving

Run = Callable[[Any], Any]


def test_an_exception_takes_over_what_its_cause_knows() -> None:
    cause = SessionError("inner", session_id=4, error_code=7, details={"status": 404})
    error = ClientError.from_cause("outer", cause=cause, details={"try": 2}, url="https://localhost/")
    assert (error.error_code, error.details) == (7, {"status": 404, "try": 2})
    assert error.url == "https://localhost/"
    assert cause.details == {"status": 404}
    assert "details={'status': 404, 'try': 2}" in repr(error)
    plain = WebTransportError.from_cause("outer", cause=KeyError("x"))
    assert plain.error_code == WebTransportError("x").error_code


def test_the_name_of_a_known_event_becomes_its_type() -> None:
    assert Event(type="session_ready").type is EventType.SESSION_READY
    assert Event(type="of a program").type == "of a program"
    assert Event(type="x", source=7).to_dict()["source"] == "7"
    assert Event(type="x").to_dict()["source"] is None


def test_configurations_are_coerced_as_little_as_they_were() -> None:
    files = {"certfile": "a", "keyfile": "b"}
    assert ServerConfig.from_dict(config_dict={**files, "bind_port": "4433", "unknown": 1}).bind_port == 4433
    with pytest.raises(ConfigurationError) as error:
        ServerConfig.from_dict(config_dict={**files, "bind_port": "http"}).validate()
    assert error.value.config_key == "bind_port"
    with pytest.raises(ConfigurationError) as unknown:
        ClientConfig().update(conect_timeout=3)
    assert (unknown.value.config_key, unknown.value.config_value) == ("conect_timeout", 3)
    with pytest.raises(ConfigurationError, match="wt_available_protocols"):
        ClientConfig(wt_available_protocols=["a", 1]).validate()  # type: ignore[list-item]
    endless = dict.fromkeys(
        ("close_timeout", "connect_timeout", "connection_idle_timeout", "stream_creation_timeout")
    )
    ClientConfig(**endless).validate()  # type: ignore[arg-type]


def test_a_client_without_time_limits_works(run: Run, certificate: tuple[str, str]) -> None:
    names = ("close_timeout", "connect_timeout", "connection_attempt_delay", "connection_idle_timeout")
    endless = dict.fromkeys((*names, "stream_creation_timeout", "read_timeout", "write_timeout"))

    async def main() -> None:
        async with serving(certificate, echo) as url, client(**endless) as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write_all(data=b"Hello", end_stream=True)
            assert await stream.read_all() == b"Hello"

    run(main())


def test_our_own_end_is_told_with_our_code(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            with pytest.raises(ValueError, match="32 bits"):
                await session.close(error_code=1 << 32)
            assert session.state is SessionState.CONNECTED
            await session.close(error_code=42, reason="bye")
            event = await session.events.wait_for(event_type=EventType.SESSION_CLOSED, timeout=5)
            assert event.data is not None
            assert (event.data["error_code"], event.data["reason"]) == (42, "bye")
            with pytest.raises(SessionError) as ended:
                await session.create_bidirectional_stream()
            assert ended.value.error_code == 42

    run(main())


def test_nothing_can_be_written_to_an_ended_stream_without_harm(
    run: Run, certificate: tuple[str, str]
) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"", end_stream=True)
            await stream.write(data=b"")
            await stream.write(data=b"", end_stream=True)
            with pytest.raises(StreamError):
                await stream.write(data=b"x")
            headers = session.headers
            headers.clear()
            assert session.headers

    run(main())


@pytest.mark.usefixtures("built")
def test_a_block_that_fails_with_a_code_resets_with_it(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        codes: list[int] = []

        async def read(session: WebTransportSession) -> None:
            stream = await session.accept_unidirectional_stream()
            with pytest.raises(StreamError) as reset:
                await stream.read_all()
            codes.append(reset.value.error_code)
            await session.close()

        async with serving(certificate, read) as url, client() as peer:
            session = await peer.connect(url=url)
            with pytest.raises(StreamError):
                async with await session.create_unidirectional_stream() as stream:
                    await stream.write(data=b"x")
                    raise StreamError("enough", error_code=99)
            await session.wait_closed()
        assert codes == [99]

    run(main())


@pytest.mark.usefixtures("built")
def test_registers_tell_their_numbers(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        numbers: list[dict[str, Any]] = []

        async def look(session: WebTransportSession) -> None:
            server = servers[0]
            numbers.append(await server.connection_manager.get_stats())
            numbers.append(await server.session_manager.get_stats())
            connection = await server.connection_manager.remove_connection(
                connection_handle=session.connection.handle
            )
            assert connection is session.connection
            assert connection.is_closed

        servers: list[Any] = []

        async def note(*, session: Any) -> None:
            servers.append(session.connection._driver._owner)

        async with serving(certificate, look, middleware=note, max_connections=7) as url, client() as peer:
            session = await peer.connect(url=url)
            await session.wait_closed()
        common = {
            "total_created": 1,
            "total_closed": 0,
            "current_count": 1,
            "max_concurrent": 1,
            "active": 1,
            "states": {"connected": 1},
        }
        assert numbers == [{**common, "max_connections": 7}, {**common, "max_sessions": 70}]

    run(main())


@pytest.mark.usefixtures("built")
def test_a_graceful_end_waits_for_the_sessions(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async def end(session: WebTransportSession) -> None:
            await session.connection.graceful_shutdown()
            assert session.connection.is_closed

        async with serving(certificate, end) as url, client() as peer:
            session = await peer.connect(url=url)
            await session.events.wait_for(event_type=EventType.SESSION_DRAINING, timeout=10)
            assert session.state is SessionState.DRAINING
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"still open")
            await session.close(error_code=3)
            assert session.close_code == 3

    run(main())


@pytest.mark.usefixtures("built")
def test_requests_are_answered_once(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async def refuse(*, session: Any) -> None:
            await session.reject(status_code=418)
            await session.reject(status_code=400)
            with pytest.raises(SessionError):
                await session.accept()

        async with serving(certificate, echo, middleware=refuse) as url, client() as peer:
            with pytest.raises(ClientError) as refused:
                await peer.connect(url=url)
            assert refused.value.details["status"] == 418

    run(main())


def test_default_fields_give_way_to_those_of_a_request(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        seen: list[dict[Any, Any]] = []

        async def note(*, session: Any) -> None:
            seen.append(dict(session.headers))

        async with (
            serving(certificate, echo, middleware=note) as url,
            client(headers={"X-A": "config", "X-B": "config", "X-C": "config"}, user_agent="me/1") as peer,
        ):
            peer.set_default_headers(headers={"x-b": "default", "x-c": "default"})
            await peer.connect(url=url, headers=[("X-C", b"request")])
        fields = {name.decode(): value.decode() for name, value in seen[0].items()}
        assert {name: fields[name] for name in ("x-a", "x-b", "x-c", "user-agent")} == {
            "x-a": "config",
            "x-b": "default",
            "x-c": "request",
            "user-agent": "me/1",
        }

    run(main())


def test_a_name_that_leads_nowhere(run: Run) -> None:
    async def main() -> None:
        async with client() as peer:
            with pytest.raises(ClientError, match="cannot be resolved") as error:
                await peer.connect(url="https://nowhere.invalid/")
            assert type(error.value.__cause__).__name__ == "ConnectionError"

    run(main())


@pytest.mark.usefixtures("built")
def test_a_connection_knows_the_limits_of_its_peer(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        limits = {"initial_max_data": 70_000, "initial_max_streams_bidi": 3, "initial_max_streams_uni": 4}
        async with serving(certificate, echo, **limits) as url, client() as peer:
            session = await peer.connect(url=url)
            facts = await session.connection.diagnostics()
            assert {name: getattr(facts, f"peer_{name}") for name in limits} == limits

    run(main())
