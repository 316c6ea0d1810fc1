"""A bounded register of resources by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from pywebtransport.constants import ErrorCodes
from pywebtransport.exceptions import ServerError


class Resource(Protocol):
    """What can be registered."""

    @property
    def state(self) -> str: ...

    async def close(self) -> None: ...


R = TypeVar("R", bound=Resource)


class ResourceManager(ABC, Generic[R]):
    """Resources by number, at most `limit` at a time."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._items: dict[int, R] = {}
        self._total = 0
        self._most = 0

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
        self._total += number not in self._items
        self._items[number] = item
        self._most = max(self._most, len(self._items))

    def discard(self, number: int) -> R | None:
        """Take out; `None` if it is not registered."""
        return self._items.pop(number, None)

    # The interface of managers

    plural: ClassVar[str]
    """What the resources are called."""

    @abstractmethod
    def number_of(self, resource: R) -> int:
        """The number that a resource is registered under."""

    async def add_resource(self, *, resource: R) -> None:
        """Register a resource.

        Raises:
            ServerError: the register is full.
        """
        self.insert(self.number_of(resource), resource)

    async def get_resource(self, *, resource_id: int) -> R | None:
        """The resource of a number."""
        return self._items.get(resource_id)

    async def get_all_resources(self) -> list[R]:
        """All that is registered now."""
        return self.items()

    async def get_stats(self) -> dict[str, Any]:
        """Numbers: of resources now, at most at a time, altogether, ended, allowed, and in each state."""
        current = len(self._items)
        return {
            "total_created": self._total,
            "total_closed": self._total - current,
            "current_count": current,
            "max_concurrent": self._most,
            "active": current,
            f"max_{self.plural}": self._limit,
            "states": {str(state): count for state, count in self.states().items()},
        }

    async def shutdown(self) -> None:
        """Close all resources and take them out."""
        items, self._items = self.items(), {}
        for item in items:
            await item.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.shutdown()
