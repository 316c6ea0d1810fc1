"""What a deviant is, and how one is declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import Behaviour
from conformance.requirements import by_id
from conformance.requirements.model import Level, Limit

Kill: TypeAlias = Literal["fail", "non_strict", "changed"]


@dataclass(frozen=True, slots=True)
class Deviant:
    """A server with one fault.

    ``requirements`` is the closure of what the fault breaks, rows that restate each other included. ``kill``
    is the verdict that a case has to give: ``fail``, ``non_strict``, or ``changed`` where the rows are
    informational (the recorded reaction differs). ``apply`` changes a fault-free behaviour.
    """

    id: str
    title: str
    requirements: tuple[str, ...]
    kill: Kill
    apply: Callable[[Behaviour], None]
    drafts: tuple[Draft, ...] = DRAFTS

    def behaviour(self, drafts: Iterable[Draft]) -> Behaviour:
        """Return the behaviour of the deviant."""
        behaviour = Behaviour(tuple(drafts))
        self.apply(behaviour)
        return behaviour


def expected_kill(requirements: Iterable[str]) -> Kill:
    """Return the worst verdict that the catalogue lets a case give for these rows."""
    rows = [by_id(name) for name in requirements]
    binding = [row for row in rows if row.level is not Level.MAY and row.limit is not Limit.INFORMATIONAL]
    if any(row.level is not Level.SHOULD and row.limit is Limit.NONE for row in binding):
        return "fail"
    return "non_strict" if binding else "changed"


_STRENGTH: dict[Kill, int] = {"changed": 0, "non_strict": 1, "fail": 2}


def binding_drafts(requirements: Iterable[str], kill: Kill, drafts: Iterable[Draft]) -> tuple[Draft, ...]:
    """Return the drafts in which one of the rows is a rule that allows the verdict ``kill``."""
    strong = [by_id(name) for name in requirements if _STRENGTH[expected_kill((name,))] >= _STRENGTH[kill]]
    return tuple(draft for draft in drafts if any(draft.value in row.drafts for row in strong))


registry: dict[str, Deviant] = {}


def add(deviant: Deviant) -> None:
    """Register a deviant; raises ValueError where its identifier is taken."""
    if deviant.id in registry and registry[deviant.id] is not deviant:
        raise ValueError(f"deviant {deviant.id} is declared twice")
    registry[deviant.id] = deviant


def deviant(
    identifier: str,
    *requirements: str,
    kill: Kill | None = None,
    drafts: Iterable[Draft] = DRAFTS,
) -> Callable[[Callable[[Behaviour], None]], Callable[[Behaviour], None]]:
    """Declare a function that puts the fault into a behaviour; its docstring is the title.

    ``kill`` is the worst verdict that the catalogue allows for the rows, unless it is given.
    """

    def declare(apply: Callable[[Behaviour], None]) -> Callable[[Behaviour], None]:
        title = (apply.__doc__ or "").strip().partition("\n")[0]
        if not title or not requirements:
            raise ValueError(f"deviant {identifier} needs a title and requirements")
        verdict = kill or expected_kill(requirements)
        played = binding_drafts(requirements, verdict, drafts)
        add(Deviant(identifier, title, requirements, verdict, apply, played))
        return apply

    return declare


def override(behaviour: Behaviour, name: str, method: Callable[..., Any]) -> None:
    """Replace a documented hook of a behaviour by a function that gets the original first.

    Raises AttributeError where there is no such hook.
    """
    original = getattr(behaviour, name)

    def hook(*arguments: Any, **keywords: Any) -> Any:
        return method(original, *arguments, **keywords)

    setattr(behaviour, name, hook)
