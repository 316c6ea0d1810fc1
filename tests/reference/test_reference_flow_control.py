"""What diagnostics say of session flow control (draft-16 §5), on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport import WebTransportSession
from reference_programs import client, echo, serving

Run = Callable[[Any], Any]
SERVER = {"initial_max_data": 5000, "initial_max_streams_bidi": 3, "initial_max_streams_uni": 4}
CLIENT = {"initial_max_data": 7000, "initial_max_streams_bidi": 5, "initial_max_streams_uni": 6}

pytestmark = pytest.mark.usefixtures("built")


async def limits(session: WebTransportSession) -> tuple[bool | None, dict[str, int], dict[str, int]]:
    """Whether flow control is in force, and the limits of both sides under the names of the configuration."""
    facts = await session.diagnostics()
    peer, local = (
        {f"initial_{name}": getattr(facts, f"{side}_{name}") for name in names}
        for side in ("peer", "local")
        for names in (("max_data", "max_streams_bidi", "max_streams_uni"),)
    )
    return facts.flow_control_negotiated, peer, local


@pytest.mark.parametrize("draft", [16, 14, 7, 2])
def test_both_sides_know_the_limits(run: Run, certificate: tuple[str, str], draft: int) -> None:
    async def main() -> None:
        seen: asyncio.Queue[Any] = asyncio.Queue()

        async def note(session: WebTransportSession) -> None:
            await seen.put(await limits(session))
            await echo(session)

        nothing = dict.fromkeys(SERVER, 0)
        async with (
            serving(certificate, note, drafts=[draft], **SERVER) as url,
            client(**CLIENT) as peer,
        ):
            session = await peer.connect(url=url)
            here, there = await limits(session), await seen.get()
            if draft >= 14:
                assert (here, there) == ((True, SERVER, CLIENT), (True, CLIENT, SERVER))
            else:
                assert (here, there) == ((False, nothing, CLIENT), (False, nothing, SERVER))
            await session.close()
            # SETTINGS are still known
            assert (await limits(session))[:2] == here[:2]

    run(main())


@pytest.mark.parametrize("draft", [16, 14])
def test_one_side_alone_has_no_flow_control(run: Run, certificate: tuple[str, str], draft: int) -> None:
    """Both sides have to give a limit (draft-16 §5.1), or more sessions than one (draft-14 §5.1)."""

    async def main() -> None:
        none: dict[str, Any] = dict.fromkeys(SERVER, 0)
        async with (
            serving(certificate, echo, drafts=[draft], **SERVER) as url,
            client(max_sessions=1, **none) as peer,
        ):
            session = await peer.connect(url=url)
            assert (await limits(session))[:2] == (False, none)

    run(main())


def test_the_limits_are_those_of_the_moment(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo, **SERVER) as url, client(**CLIENT) as peer:
            session = await peer.connect(url=url)
            for _ in range(6):
                stream = await session.create_bidirectional_stream()
                await stream.write_all(data=bytes(2000), end_stream=True)
                assert len(await stream.read_all()) == 2000
            _, theirs, ours = await limits(session)
            assert theirs["initial_max_data"] >= 12_000 and theirs["initial_max_streams_bidi"] >= 6
            assert ours["initial_max_data"] > 7000
            assert theirs["initial_max_streams_uni"] == 4

    run(main())
