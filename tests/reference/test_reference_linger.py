"""How long an event loop stays awake for the next packet, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from pywebtransport._linger import SHARE, Linger
from pywebtransport.types import EventType
from reference_programs import client, echo, serving

MOMENT = 1e-4
TURN = 1e-5


class Loop(asyncio.SelectorEventLoop):
    """Goes round when it is told to; each round takes ``TURN`` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.awake = 0.0
        self._soon: list[Callable[[], object]] = []

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: object = None
    ) -> None:
        """Note it for the next round."""
        self._soon.append(lambda: callback(*args))

    def until(self, time: float) -> None:
        """Go round until nothing is to be done or the time has come; then sleep until it."""
        while self._soon and self.now < time:
            soon, self._soon = self._soon, []
            for callback in soon:
                callback()
            self.now += TURN
            self.awake += TURN
        self.now = max(self.now, time)


def linger_on(loop: Loop, moment: float = MOMENT) -> Linger:
    return Linger(loop, moment, clock=lambda: loop.now)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_it_sleeps_again_after_a_moment(loop: Loop) -> None:
    linger_on(loop).packet()
    loop.until(1.0)
    assert MOMENT <= loop.awake <= MOMENT + 2 * TURN


def test_answers_that_come_in_time_keep_it_awake(loop: Loop) -> None:
    linger = linger_on(loop)
    for number in range(10_000):
        linger.packet()
        loop.until((number + 1) * MOMENT / 2)
    assert loop.awake >= 0.99 * loop.now


@pytest.mark.parametrize("gap", [2 * MOMENT, 1e-3, 1e-2, 1.0])
def test_what_is_waited_in_vain_is_a_small_part(loop: Loop, gap: float) -> None:
    linger = linger_on(loop)
    for number in range(2_000):
        linger.packet()
        loop.until((number + 1) * gap)
    assert 0 < loop.awake <= (SHARE * loop.now + 21 * MOMENT) * (1 + 2 * TURN / MOMENT)


def test_where_waiting_helps_again_it_waits_again(loop: Loop) -> None:
    linger = linger_on(loop)
    for number in range(1_000):
        linger.packet()
        loop.until((number + 1) * 2 * MOMENT)
    loop.until(loop.now + 1.0)
    before = loop.awake
    linger.packet()
    loop.until(loop.now + MOMENT / 2)
    assert loop.awake > before


def test_none_at_all(loop: Loop) -> None:
    linger_on(loop, 0.0).packet()
    loop.until(1.0)
    assert not loop.awake


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("moment", [0.0, 1e-3])
def test_datagrams_go_there_and_back(certificate: tuple[str, str], moment: float) -> None:
    """Long enough for the sockets to be lent."""

    async def main() -> None:
        async with (
            serving(certificate, echo, busy_wait=moment) as url,
            client(busy_wait=moment) as peer,
        ):
            session = await peer.connect(url=url)
            for number in range(300):
                await session.send_datagram(data=b"%d" % number)
                event = await session.events.wait_for(event_type=EventType.DATAGRAM_RECEIVED, timeout=5)
                assert event.data["data"] == b"%d" % number

    asyncio.run(asyncio.wait_for(main(), 30))
