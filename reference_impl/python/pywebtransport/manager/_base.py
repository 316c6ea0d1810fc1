"""A bounded register of resources by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

from pywebtransport.constants import ErrorCodes
from pywebtransport.exceptions import ServerError


class Resource(Protocol):
    """What can be registered."""

    @property
    def state(self) -> str: ...


R = TypeVar("R", bound=Resource)


class ResourceManager(Generic[R]):
    """Resources by number, at most `limit` at a time."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._items: dict[int, R] = {}
        self._total = 0

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> list[R]:
        """All that is registered now."""
        return list(self._items.values())

    def states(self) -> dict[Any, int]:
        """How many are in which state."""
        return dict(Counter(item.state for item in self._items.values()))

    def insert(self, number: int, item: R) -> None:
        """Register.

        Raises:
            ServerError: the register is full.
        """
        if len(self._items) >= self._limit and number not in self._items:
            raise ServerError(f"{self._limit} are open", error_code=ErrorCodes.APP_RESOURCE_EXHAUSTED)
        self._items[number] = item
        self._total += 1

    def discard(self, number: int) -> R | None:
        """Take out; `None` if it is not registered."""
        return self._items.pop(number, None)

    def figures(self) -> dict[str, Any]:
        """Numbers of the register."""
        return {
            "current": len(self._items),
            "total": self._total,
            "limit": self._limit,
            "states": self.states(),
        }

    def clear(self) -> Iterable[R]:
        """Take everything out."""
        items, self._items = self.items(), {}
        return items
