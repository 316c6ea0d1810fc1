"""Emitters: order, retention, waiting, pausing, ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport.events import Event, EventEmitter

Run = Callable[[Any], Any]


def test_listeners_are_called_in_order_and_once_only_once(run: Run) -> None:
    async def main() -> None:
        emitter, seen = EventEmitter(max_history=2), []
        emitter.on(event_type="a", handler=lambda event: seen.append(("on", event.data)))
        emitter.once(event_type="a", handler=lambda event: seen.append(("once", event.data)))
        emitter.on_any(handler=lambda event: seen.append(("any", event.data)))
        for number in range(3):
            await emitter.emit(event_type="a", data=number)
        assert seen == [("on", 0), ("once", 0), ("any", 0), ("on", 1), ("any", 1), ("on", 2), ("any", 2)]
        assert [event.data for event in emitter.get_event_history()] == [1, 2]
        assert emitter.listener_count(event_type="a") == 1
        emitter.off(event_type="a")
        assert emitter.listener_count(event_type="a") == 0

    run(main())


def test_attaching_twice_has_no_effect_and_too_many_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    emitter = EventEmitter(max_listeners=1)

    def handler(event: Event) -> None: ...

    with caplog.at_level(logging.WARNING):
        emitter.on(event_type="a", handler=handler)
        emitter.on(event_type="a", handler=handler)
        emitter.on(event_type="a", handler=lambda event: None)
    assert emitter.listener_count(event_type="a") == 2
    assert len(caplog.records) == 2


def test_a_failing_listener_does_not_hinder_others(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        emitter, seen = EventEmitter(), []

        async def failing(event: Event) -> None:
            raise ValueError("on purpose")

        async def working(event: Event) -> None:
            await asyncio.sleep(0)
            seen.append(event.data)

        emitter.on(event_type="a", handler=failing)
        emitter.on(event_type="a", handler=working)
        await emitter.emit(event_type="a", data=1)
        assert seen == [1]

    run(main())
    assert "on purpose" in caplog.text


def test_a_lasting_event_is_there_for_all_who_ask_later(run: Run) -> None:
    async def main() -> None:
        emitter, seen = EventEmitter(), []
        emitter.last(event_type="end")
        emitter.on_any(handler=lambda event: seen.append("any"))
        waiting = asyncio.ensure_future(emitter.wait_for(event_type="end"))
        await asyncio.sleep(0)
        emitter.emit_nowait(event_type="end", data=7)
        assert (await waiting).data == 7
        for _ in range(2):
            assert (await emitter.wait_for(event_type=["other", "end"])).data == 7
        emitter.on(event_type="end", handler=lambda event: seen.append("on"))
        emitter.once(event_type="end", handler=lambda event: seen.append("once"))
        emitter.on_any(handler=lambda event: seen.append("late any"))
        assert seen == ["any", "on", "once", "late any"]
        assert emitter.get_stats()["total_once_handlers"] == 0
        await emitter.close()
        assert (await emitter.wait_for(event_type="end")).data == 7
        with pytest.raises(TimeoutError):
            await emitter.wait_for(event_type="end", condition=lambda event: event.data == 8, timeout=0)

    run(main())


def test_what_owns_an_emitter_goes_without_the_garbage_collector(run: Run) -> None:
    class Owner:
        def __init__(self) -> None:
            self.events = EventEmitter(owner=self)
            self.events.last(event_type="end")
            self.events.emit_nowait(event_type="end", data={"code": 7, "owner": self})

    async def main() -> None:
        gc.disable()
        try:
            owner = Owner()
            events, here = owner.events, weakref.ref(owner)
            event = await events.wait_for(event_type="end")
            assert event.data == {"code": 7, "owner": owner}
            del owner, event
            assert here() is None
            assert (await events.wait_for(event_type="end")).data == {"code": 7, "owner": None}
        finally:
            gc.enable()

    run(main())


def test_a_lasting_event_is_not_dropped(run: Run) -> None:
    async def main() -> None:
        emitter = EventEmitter(max_queue_size=1)
        emitter.last(event_type="end")
        emitter.pause()
        for name in ("a", "b", "end"):
            emitter.emit_nowait(event_type=name)
        waiting = asyncio.ensure_future(emitter.wait_for(event_type="end"))
        await asyncio.sleep(0)
        delivery = emitter.resume()
        assert delivery is not None
        await delivery
        assert (await waiting).type == "end"
        assert emitter.get_stats()["dropped_events"] == 1

    run(main())


def test_retained_events_wait_for_their_listener(run: Run) -> None:
    async def main() -> None:
        emitter, seen = EventEmitter(), []
        emitter.retain(event_type="a", limit=3)
        for number in range(5):
            emitter.emit_nowait(event_type="a", data=number)
        assert (await emitter.wait_for(event_type="a")).data == 2
        event = await emitter.wait_for(event_type=["b", "a"], condition=lambda event: event.data == 4)
        assert event.data == 4
        emitter.on(event_type="a", handler=lambda event: seen.append(event.data))
        assert seen == [3]
        emitter.emit_nowait(event_type="a", data=5)
        assert seen == [3, 5]

    run(main())


def test_between_two_waits_nothing_is_lost(run: Run) -> None:
    async def main() -> None:
        emitter = EventEmitter()
        emitter.retain(event_type="a", limit=10)
        waiting = asyncio.ensure_future(emitter.wait_for(event_type="a"))
        await asyncio.sleep(0)
        # The second arrives before the waiter has run on; the third while nobody waits.
        emitter.emit_nowait(event_type="a", data=1)
        emitter.emit_nowait(event_type="a", data=2)
        assert (await waiting).data == 1
        emitter.emit_nowait(event_type="a", data=3)
        assert [(await emitter.wait_for(event_type="a")).data for _ in range(2)] == [2, 3]

    run(main())


def test_waiting_has_a_limit_and_leaves_nothing_behind(run: Run) -> None:
    async def main() -> None:
        emitter = EventEmitter()
        with pytest.raises(asyncio.TimeoutError):
            await emitter.wait_for(event_type="a", timeout=0.001)

        def wrong(event: Event) -> bool:
            raise LookupError("on purpose")

        waiting = asyncio.ensure_future(emitter.wait_for(event_type="a", condition=wrong))
        await asyncio.sleep(0)
        emitter.emit_nowait(event_type="a")
        with pytest.raises(LookupError):
            await waiting
        assert emitter._waiters == []

    run(main())


def test_pausing_keeps_a_bounded_queue(run: Run) -> None:
    async def main() -> None:
        emitter, seen = EventEmitter(max_queue_size=3), []
        emitter.on(event_type="a", handler=lambda event: seen.append(event.data))
        emitter.pause()
        for number in range(5):
            emitter.emit_nowait(event_type="a", data=number)
        assert emitter.get_stats()["queued_events"] == 3
        assert emitter.get_stats()["dropped_events"] == 2
        task = emitter.resume()
        assert task is not None
        await task
        assert seen == [0, 1, 2]
        assert emitter.resume() is None

    run(main())


def test_running_listeners_are_bounded_and_keep_the_order(run: Run) -> None:
    async def main() -> None:
        emitter, seen, gate = EventEmitter(max_queue_size=2), [], asyncio.Event()

        async def slow(event: Event) -> None:
            await gate.wait()
            seen.append(event.data)

        emitter.on(event_type="a", handler=slow)
        for number in range(6):
            emitter.emit_nowait(event_type="a", data=number)
        gate.set()
        while len(seen) < 4:
            await asyncio.sleep(0)
        assert seen == [0, 1, 2, 3]
        assert emitter.get_stats()["dropped_events"] == 2

    run(main())


def test_close_cancels_what_runs(run: Run) -> None:
    async def main() -> None:
        emitter, ends = EventEmitter(), []

        async def endless(event: Event) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ends.append(event.data)

        emitter.on(event_type="a", handler=endless)
        emitter.emit_nowait(event_type="a", data=1)
        waiting = asyncio.ensure_future(emitter.wait_for(event_type="b"))
        await asyncio.sleep(0)
        await emitter.close()
        assert ends == [1]
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(main())
