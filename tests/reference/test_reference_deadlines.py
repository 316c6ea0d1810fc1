"""Waits that must not take for ever, and events whose data nobody wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport._deadlines import Deadlines, Gate
from pywebtransport.events import EventEmitter

Run = Callable[[Any], Any]


def test_waits_end_in_the_order_in_which_they_began(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, ended = Deadlines(loop, 0.001), []
        futures = [loop.create_future() for _ in range(4)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: ended.append(number))
            deadlines.add(future)
        futures[2].set_result(None)
        deadlines.remove(futures[2])
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(x) for x in results] == [TimeoutError, TimeoutError, type(None), TimeoutError]
        assert ended == [2, 0, 1, 3]
        again = loop.create_future()
        deadlines.add(again)
        with pytest.raises(TimeoutError):
            await again

    run(main())


def test_closing_leaves_no_timer(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, future = Deadlines(loop, 0.0), loop.create_future()
        deadlines.add(future)
        deadlines.close()
        # A turn of the loop, in which the timer would have been due
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not future.done()

    run(main())


def test_data_are_made_only_for_those_who_listen(run: Run) -> None:
    async def main() -> None:
        emitter, made, seen = EventEmitter(), [], []
        emitter.retain(event_type="a", limit=2)

        def make(number: int) -> Callable[[], int]:
            return lambda: made.append(number) or number  # type: ignore[func-returns-value]

        for number in range(3):
            emitter.emit_lazily(event_type="a", make=make(number))
        assert not made
        event = await emitter.wait_for(event_type="a", condition=lambda event: event.data == 2)
        assert (event.data, made) == (2, [1, 2])
        emitter.on(event_type="a", handler=lambda event: seen.append(event.data))
        emitter.emit_lazily(event_type="a", make=make(3))
        assert (seen, made) == ([1, 3], [1, 2, 3])

    run(main())


def test_everyone_who_waits_at_a_gate_goes_on_when_it_opens(run: Run) -> None:
    async def main() -> list[str]:
        gate, seen = Gate(), []
        gate.then(lambda: seen.append("called"))
        tasks = [asyncio.create_task(gate.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        gate.open()
        gate.open()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, type(None), type(None)]
        await gate.wait()
        gate.then(lambda: seen.append("at once"))
        return seen

    assert run(main()) == ["called", "at once"]


def test_a_wait_at_a_gate_can_be_limited(run: Run) -> None:
    async def main() -> None:
        gate = Gate()
        deadlines = Deadlines(asyncio.get_running_loop(), 0.01)
        with pytest.raises(TimeoutError):
            await gate.wait(deadlines)
        gate.open()
        await gate.wait(deadlines)
        deadlines.close()

    run(main())
