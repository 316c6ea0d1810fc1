"""Events and their listeners.

An emitter calls its listeners in the order in which they were attached. A coroutine of a listener runs until
it first has to wait before the next listener is called (Python 3.12 and later; before, it begins in the next
turn of the loop); then it goes on as a task of the emitter. `close` cancels what is left of them.

Event types that are *retained* are kept, up to a limit, while nobody listens to them; the first listener or
waiter gets them, in order. So nothing that arrives between the handshake and `on()` is lost.

Event types that are *lasting* happen once, as the end of a session does. Whoever asks for such an event after
it has happened gets it at once, also if others got it before: nobody waits for what cannot come again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pywebtransport.types import EventType

logger = logging.getLogger(__name__)

_KNOWN_TYPES: Final[dict[str, EventType]] = {item.value: item for item in EventType}


@dataclass(kw_only=True, frozen=True, slots=True, repr=False)
class Event:
    """Something that happened. `timestamp` is in seconds of `time.perf_counter`.

    The name of a known type becomes a member of `EventType`; programs may use names of their own.
    """

    type: EventType | str
    timestamp: float = field(default_factory=time.perf_counter)
    data: Any | None = None
    source: Any | None = None

    def __post_init__(self) -> None:
        if (known := _KNOWN_TYPES.get(self.type)) is not None:
            object.__setattr__(self, "type", known)

    def to_dict(self) -> dict[str, Any]:
        """The members as a dictionary, the source as text."""
        source = None if self.source is None else str(self.source)
        return {"type": self.type, "timestamp": self.timestamp, "data": self.data, "source": source}

    def __str__(self) -> str:
        return f"Event({self.type})"

    def __repr__(self) -> str:
        return f"Event(type={self.type}, timestamp={self.timestamp})"


EventHandler: TypeAlias = Callable[[Event], Awaitable[None] | None]


class EventEmitter:
    """A set of listeners by event type.

    Args:
        max_listeners: beyond so many listeners of one type a warning is logged (they are attached
            nevertheless).
        max_history: so many events are kept for `get_event_history`.
        max_queue_size: so many events wait while paused, or while as many coroutines of listeners run; more
            are dropped, and counted in `get_stats`.
        owner: what the emitter is a part of. A lasting event of the past does not keep it alive; if it is
            gone, `None` stands for it in the data.
    """

    def __init__(
        self,
        *,
        max_listeners: int = 10,
        max_history: int = 0,
        max_queue_size: int = 100,
        owner: object | None = None,
    ) -> None:
        self._owner = None if owner is None else weakref.ref(owner)
        self._max_listeners = max_listeners
        self._max_queue_size = max_queue_size
        self._handlers: dict[str, list[EventHandler]] = defaultdict(list)
        self._once: dict[str, list[EventHandler]] = defaultdict(list)
        self._any: list[EventHandler] = []
        self._history: deque[Event] = deque(maxlen=max_history)
        self._queue: deque[Event] = deque()
        self._retained: dict[str, deque[Event | _Later]] = {}
        self._lasting: dict[str, Event | _Later | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[_Waiter] = []
        self._paused = False
        self._dropped = 0

    # Listening

    def on(self, *, event_type: EventType | str, handler: EventHandler) -> None:
        """Call `handler` at each event of a type, at once for a lasting one of the past.

        Attaching it twice has no further effect.
        """
        self._attach(self._handlers[event_type], event_type, handler)

    def once(self, *, event_type: EventType | str, handler: EventHandler) -> None:
        """Call `handler` at the next event of a type only, or at once for a lasting one of the past."""
        self._attach(self._once[event_type], event_type, handler, limit=1)

    def on_any(self, *, handler: EventHandler) -> None:
        """Call `handler` at every event."""
        if handler in self._any:
            return
        self._any.append(handler)
        for event_type in list(self._retained):
            self._release(event_type)
        for past in self._lasting.values():
            if past is not None:
                self._call(handler, _made(past))

    def off(self, *, event_type: EventType | str, handler: EventHandler | None = None) -> None:
        """Detach one listener of a type, or all of them. Detaching what is not attached has no effect."""
        for table in (self._handlers, self._once):
            if handler is None:
                table.pop(event_type, None)
            elif handler in table.get(event_type, ()):
                table[event_type].remove(handler)

    def off_any(self, *, handler: EventHandler | None = None) -> None:
        """Detach one listener of every event, or all of them."""
        if handler is None:
            self._any.clear()
        elif handler in self._any:
            self._any.remove(handler)

    def remove_all_listeners(self, *, event_type: EventType | str | None = None) -> None:
        """Detach all listeners, of one type or altogether."""
        if event_type is not None:
            self.off(event_type=event_type)
            return
        self._handlers.clear()
        self._once.clear()
        self._any.clear()

    def listeners(self, *, event_type: EventType | str) -> list[EventHandler]:
        """The listeners of a type."""
        return [*self._handlers.get(event_type, ()), *self._once.get(event_type, ())]

    def listener_count(self, *, event_type: EventType | str) -> int:
        """The number of listeners of a type."""
        return len(self.listeners(event_type=event_type))

    def set_max_listeners(self, *, max_listeners: int) -> None:
        """Change the number of listeners from which on a warning is logged."""
        self._max_listeners = max_listeners

    async def wait_for(
        self,
        *,
        event_type: EventType | str | list[EventType | str],
        condition: Callable[[Event], bool] | None = None,
        timeout: float | None = None,
    ) -> Event:
        """Wait for an event, of one or several types, that fulfils a condition; a lasting one may be past.

        Raises:
            asyncio.TimeoutError: there was none within `timeout` seconds.
        """
        wanted = frozenset([event_type] if isinstance(event_type, str) else event_type)
        for name in wanted:
            kept: deque[Event | _Later] = self._retained.get(name, deque())
            for index, item in enumerate(kept):
                event = kept[index] = _made(item)
                if condition is None or condition(event):
                    del kept[index]
                    return event
        for name in wanted:
            if (past := self._lasting.get(name)) is not None:
                event = _made(past)
                if condition is None or condition(event):
                    return event
        waiter = _Waiter(wanted, condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await waiter.future
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    # Emitting

    async def emit(self, *, event_type: EventType | str, data: Any | None = None, source: Any = None) -> None:
        """Tell the listeners, and wait until they are done."""
        await _settled(self._publish(Event(type=event_type, data=data, source=source)))

    def emit_nowait(
        self, *, event_type: EventType | str, data: Any | None = None, source: Any = None
    ) -> None:
        """Tell the listeners without waiting for them."""
        self._publish(Event(type=event_type, data=data, source=source))

    def emit_lazily(self, *, event_type: EventType | str, make: Callable[[], Any]) -> None:
        """As `emit_nowait`, with data that are only made once somebody wants them."""
        kept = self._retained.get(event_type)
        if kept is None or self._waiters or self._is_heard(event_type):
            self._publish(Event(type=event_type, data=make()))
        else:
            kept.append(_Later(event_type, time.perf_counter(), make))

    def retain(self, *, event_type: EventType | str, limit: int) -> None:
        """Keep up to `limit` events of a type while nobody listens to it; then the oldest are dropped."""
        self._retained[event_type] = deque(maxlen=limit)

    def last(self, *, event_type: EventType | str) -> None:
        """An event of this type happens once: it is kept for all who ask for it later."""
        self._lasting.setdefault(event_type, None)

    def pause(self) -> None:
        """Keep events back until `resume`."""
        self._paused = True

    def resume(self) -> asyncio.Task[None] | None:
        """Deliver what was kept back. Returns the task that does it, or `None` if there is nothing."""
        self._paused = False
        if not self._queue:
            return None
        waiting, self._queue = self._queue, deque()

        async def deliver() -> None:
            for event in waiting:
                await _settled(self._deliver(event))

        task = asyncio.get_running_loop().create_task(deliver())
        self._track(task)
        return task

    async def close(self) -> None:
        """Detach all listeners, cancel their coroutines and everyone in `wait_for`. Lasting events remain."""
        self.remove_all_listeners()
        self._queue.clear()
        for kept in self._retained.values():
            kept.clear()
        for waiter in self._waiters:
            waiter.future.cancel()
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Looking

    def get_event_history(
        self, *, event_type: EventType | str | None = None, limit: int = 100
    ) -> list[Event]:
        """The last events, oldest first, of one type or of all."""
        events = [event for event in self._history if event_type is None or event.type == event_type]
        return events[-limit:] if limit > 0 else []

    def clear_history(self) -> None:
        """Forget the events so far."""
        self._history.clear()

    def get_stats(self) -> dict[str, Any]:
        """Numbers of listeners and of events kept."""
        return {
            "total_handlers": sum(map(len, self._handlers.values())),
            "total_once_handlers": sum(map(len, self._once.values())),
            "wildcard_handlers": len(self._any),
            "event_types": len(
                {name for table in (self._handlers, self._once) for name in table if table[name]}
            ),
            "history_size": len(self._history),
            "queued_events": len(self._queue),
            "dropped_events": self._dropped,
            "paused": self._paused,
        }

    # Inside

    def _attach(
        self, table: list[EventHandler], event_type: str, handler: EventHandler, limit: int | None = None
    ) -> None:
        if handler in table:
            logger.warning("the listener of %s is attached already", event_type)
            return
        if (past := self._lasting.get(event_type)) is not None:
            self._call(handler, _made(past))
            if table is self._once[event_type]:
                return
        if self.listener_count(event_type=event_type) >= self._max_listeners:
            logger.warning("more than %d listeners of %s", self._max_listeners, event_type)
        table.append(handler)
        self._release(event_type, limit)

    def _release(self, event_type: str, limit: int | None = None) -> None:
        kept = self._retained.get(event_type)
        while kept and (limit is None or limit > 0):
            limit = None if limit is None else limit - 1
            self._deliver(_made(kept.popleft()))

    def _is_heard(self, event_type: str) -> bool:
        return bool(
            self._handlers.get(event_type)
            or self._once.get(event_type)
            or self._any
            or self._history.maxlen
            or self._paused
            or self._queue
        )

    def _publish(self, event: Event) -> list[asyncio.Task[None]]:
        if self._history.maxlen:
            self._history.append(event)
        if self._paused or self._queue or len(self._tasks) >= self._max_queue_size:
            if len(self._queue) < self._max_queue_size or event.type in self._lasting:
                self._queue.append(event)
            else:
                self._dropped += 1
            return []
        return self._deliver(event)

    def _deliver(self, event: Event) -> list[asyncio.Task[None]]:
        taken: list[_Waiter] = []
        if self._waiters:
            taken = [waiter for waiter in self._waiters if waiter.offer(event)]
            for waiter in taken:
                self._waiters.remove(waiter)
        handlers = [*self._handlers.get(event.type, ()), *self._once.pop(event.type, ()), *self._any]
        if event.type in self._lasting:
            self._lasting[event.type] = self._without_owner(event)
        elif not handlers and not taken and (kept := self._retained.get(event.type)) is not None:
            kept.append(event)
            return []
        return [task for handler in handlers if (task := self._call(handler, event)) is not None]

    def _without_owner(self, event: Event) -> Event | _Later:
        # Owner, emitter, event, owner: such a circle would wait for the garbage collector, and all that a
        # session or connection holds with it.
        owner = self._owner
        if owner is None or event.source is not None or not isinstance(event.data, dict):
            return event
        names = [name for name, value in event.data.items() if value is owner()]
        rest = {name: value for name, value in event.data.items() if name not in names}
        return _Later(event.type, event.timestamp, lambda: rest | dict.fromkeys(names, owner()))

    def _call(self, handler: EventHandler, event: Event) -> asyncio.Task[None] | None:
        try:
            result = handler(event)
        except Exception:
            logger.exception("a listener of %s failed", event.type)
            return None
        if result is None:
            return None
        task = start(_guarded(result, event))
        if task.done():
            return None
        if asyncio.iscoroutine(result):
            # One that is cancelled before its first step has not begun the listener either
            task.add_done_callback(lambda _: result.close())
        self._track(task)
        return task

    def _track(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        while not self._paused and self._queue and len(self._tasks) < self._max_queue_size:
            self._deliver(self._queue.popleft())


@dataclass(slots=True, eq=False)
class _Later:
    """An event whose data are made when somebody looks at them."""

    type: EventType | str
    timestamp: float
    make: Callable[[], Any]


def _made(item: Event | _Later) -> Event:
    if isinstance(item, Event):
        return item
    return Event(type=item.type, timestamp=item.timestamp, data=item.make())


@dataclass(slots=True, eq=False)
class _Waiter:
    """Someone in `wait_for`. An event that it declines is left for others, and retained where its type is."""

    types: frozenset[str]
    condition: Callable[[Event], bool] | None
    future: asyncio.Future[Event]

    def offer(self, event: Event) -> bool:
        if event.type not in self.types or self.future.done():
            return False
        try:
            if self.condition is not None and not self.condition(event):
                return False
        except Exception as error:
            self.future.set_exception(error)
            return False
        self.future.set_result(event)
        return True


def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that has run until it first has to wait; before Python 3.12, one that is about to begin."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    return loop.create_task(coroutine)


async def _settled(tasks: list[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)


def _guarded(result: Awaitable[None], event: Event) -> Coroutine[Any, Any, None]:
    async def run() -> None:
        try:
            await result
        except Exception:
            logger.exception("a listener of %s failed", event.type)

    return run()


__all__ = ["Event", "EventEmitter", "EventHandler"]
