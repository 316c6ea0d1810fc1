"""What a Python client and server agree on: the draft, an application protocol, keys, an origin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport import ClientConfig, ClientError, ConfigurationError, WebTransportSession
from pywebtransport.framework import create_cors_middleware
from pywebtransport.types import EventType
from reference_programs import client, echo, serving

Run = Callable[[Any], Any]
DRAFTS = [16, 14, 7, 2]

pytestmark = pytest.mark.usefixtures("built")


async def works(session: WebTransportSession) -> None:
    """The session carries data."""
    stream = await session.create_bidirectional_stream()
    await stream.write_all(data=b"stream", end_stream=True)
    assert await stream.read_all() == b"stream"
    await session.send_datagram(data=b"datagram")
    event = await session.events.wait_for(event_type=EventType.DATAGRAM_RECEIVED, timeout=10)
    assert event.data["data"] == b"datagram"  # type: ignore[index]


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_client_of_all_drafts_meets_a_server_of_one(
    run: Run, certificate: tuple[str, str], draft: int
) -> None:
    async def main() -> None:
        async with serving(certificate, echo, drafts=[draft]) as url, client() as peer:
            session = await peer.connect(url=url)
            assert session.draft == draft
            await works(session)
            await session.close(error_code=7, reason="done")

    run(main())


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_client_of_one_draft_meets_a_server_of_all(
    run: Run, certificate: tuple[str, str], draft: int
) -> None:
    async def main() -> None:
        drafts = []

        async def note(session: WebTransportSession) -> None:
            drafts.append(session.draft)
            await echo(session)

        async with serving(certificate, note) as url, client(drafts=[draft]) as peer:
            session = await peer.connect(url=url)
            assert session.draft == draft
            await works(session)
        assert drafts == [draft]

    run(main())


def test_the_default_is_the_newest_draft(run: Run, certificate: tuple[str, str]) -> None:
    assert ClientConfig().drafts == DRAFTS

    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            assert (await peer.connect(url=url)).draft == 16

    run(main())


@pytest.mark.parametrize(("ours", "theirs"), [([16], [7]), ([2], [16, 14]), ([14], [7, 2])])
def test_without_a_draft_in_common_there_is_no_session(
    run: Run, certificate: tuple[str, str], ours: list[int], theirs: list[int]
) -> None:
    async def main() -> None:
        async with serving(certificate, echo, drafts=theirs) as url, client(drafts=ours) as peer:
            with pytest.raises(ClientError):
                await peer.connect(url=url)

    run(main())


@pytest.mark.parametrize("drafts", [[], [15], [16, 16]])
def test_drafts_that_make_no_sense(drafts: list[int]) -> None:
    with pytest.raises(ConfigurationError) as error:
        ClientConfig(drafts=drafts).validate()
    assert error.value.config_key == "drafts"


def test_a_protocol_is_chosen_of_those_offered(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def choose(*, session: Any) -> None:
            seen.append(session.wt_available_protocols)
            if session.wt_available_protocols:
                session.wt_protocol = session.wt_available_protocols[-1]

        async with (
            serving(certificate, echo, middleware=choose) as url,
            client(wt_available_protocols=["of-config"]) as peer,
        ):
            session = await peer.connect(url=url, wt_available_protocols=["chat-2", 'odd "\\ name'])
            assert session.wt_available_protocols == ["chat-2", 'odd "\\ name']
            assert session.wt_protocol == 'odd "\\ name'
            assert (await peer.connect(url=url)).wt_protocol == "of-config"
            assert (await peer.connect(url=url, wt_available_protocols=[])).wt_protocol is None
        assert seen == [["chat-2", 'odd "\\ name'], ["of-config"], None]

    run(main())


def test_a_protocol_that_was_not_offered_cannot_be_chosen(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async def choose(*, session: Any) -> None:
            session.wt_protocol = "mine"

        async with serving(certificate, echo, middleware=choose) as url, client() as peer:
            with pytest.raises(ClientError) as refused:
                await peer.connect(url=url, wt_available_protocols=["yours"])
            assert refused.value.details["status"] == 500

    run(main())


def test_keys_are_of_the_session_and_of_what_is_asked(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        theirs: list[bytes] = []

        async def export(session: WebTransportSession) -> None:
            for label, context in (("a", b""), ("b", b""), ("a", b"c")):
                theirs.append(await session.export_keying_material(label=label, context=context, length=32))
            await session.close(error_code=1)

        async with serving(certificate, export) as url, client(pool_sessions=True) as peer:
            for _ in range(2):
                session = await peer.connect(url=url)
                await session.wait_closed()
        # Two connections, three questions each
        assert len(set(theirs)) == 6

    run(main())


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://app.example", None), ("https://evil.example", 403), (None, 403)],
)
def test_origins_are_checked(
    run: Run, certificate: tuple[str, str], origin: str | None, status: int | None
) -> None:
    async def main() -> None:
        check = create_cors_middleware(allowed_origins=["https://*app.example"])
        headers = {} if origin is None else {"Origin": origin}
        async with serving(certificate, echo, middleware=check) as url, client() as peer:
            if status is None:
                await works(await peer.connect(url=url, headers=headers))
                return
            with pytest.raises(ClientError) as refused:
                await peer.connect(url=url, headers=headers)
            assert refused.value.details["status"] == status

    run(main())
