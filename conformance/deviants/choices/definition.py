"""What a choice is, and how one is declared.

They are the counterpart of the deviants: no case may fail such a server, call it non-strict, or be unable
to judge it because of its choice. Each declares the sentence that allows it; what a case may call
unsupported, since the choice leaves out what the case is about, stands beside it as ``without``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from conformance.deviants.definition import override
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import Behaviour
from conformance.peer.model.engine import Connection
from conformance.peer.model.sessions import Session

Apply: TypeAlias = Callable[[Behaviour], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """An allowed way to behave; ``apply`` makes a fault-free behaviour behave so.

    ``without``: prefixes of cases that are unsupported then, or whose SHOULD the choice goes against.
    """

    id: str
    title: str
    reference: str
    apply: Apply
    drafts: tuple[Draft, ...]
    without: tuple[str, ...]

    def behaviour(self, drafts: Iterable[Draft]) -> Behaviour:
        """Return the behaviour of the server that takes this choice."""
        behaviour = Behaviour(tuple(drafts))
        self.apply(behaviour)
        return behaviour


registry: dict[str, Choice] = {}


def choice(
    identifier: str, reference: str, *, drafts: Iterable[Draft] = DRAFTS, without: tuple[str, ...] = ()
) -> Callable[[Apply], Apply]:
    """Declare a function that makes a behaviour take a choice; its docstring is the title.

    Raises ValueError for a choice without a title, or where its identifier is taken.
    """

    def declare(apply: Apply) -> Apply:
        title = (apply.__doc__ or "").strip().partition("\n")[0]
        if not title or identifier in registry:
            raise ValueError(f"choice {identifier} needs a title and an identifier of its own")
        registry[identifier] = Choice(identifier, title, reference, apply, tuple(drafts), without)
        return apply

    return declare


def on_accept(behaviour: Behaviour, action: Callable[[Session], None]) -> None:
    """Do something with each session as soon as it is established."""
    _then(behaviour, "session_accepted", action)


def on_connect(behaviour: Behaviour, action: Callable[[Connection], None]) -> None:
    """Do something with each connection as soon as the server's own critical streams are open."""
    _then(behaviour, "connected", action)


def _then(behaviour: Behaviour, hook: str, action: Callable[[Any], None]) -> None:
    def both(original: Callable[[Any], None], subject: object) -> None:
        original(subject)
        action(subject)

    override(behaviour, hook, both)


def instead(owner: object, name: str, function: Callable[..., object]) -> None:
    """Put a function in the place of a method of one object of the model server.

    Raises AttributeError where there is no such method.
    """
    getattr(owner, name)
    setattr(owner, name, function)
