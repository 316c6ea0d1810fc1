"""Cases: declaration and registry.

A case is a function that takes a :class:`~conformance.harness.run.Run`, declared with :func:`case`.
A case with variants is one case for each of them, since each has a verdict of its own.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from conformance.peer.drafts import Draft

if TYPE_CHECKING:
    from conformance.harness.run import Run

CaseFunction: TypeAlias = "Callable[[Run], None]"

ALL_DRAFTS = (Draft.D16, Draft.D14, Draft.D07, Draft.D02)
SINCE_14 = (Draft.D16, Draft.D14)
SINCE_07 = (Draft.D16, Draft.D14, Draft.D07)

_IDENTIFIER = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+(\.[a-z0-9_-]+)?")


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    ``identifier`` is ``area.name`` or ``area.name.variant`` and stable for ever; ``version`` rises when
    the judgement changes. ``needs`` names endpoints of the endpoint contract (docs/endpoints.md).
    ``witness`` says what shows that the case can be passed: an implementation not written here, or
    bytes derived from a section; None marks the case as unwitnessed. ``flow_control`` are the initial limits
    (streams_uni, streams_bidi, data) that the case's client sends in SETTINGS, None for none. ``slow`` cases
    run only where they are asked for.
    ``negative`` cases vary one field between the positive twin and the run that is judged.
    """

    identifier: str
    requirements: tuple[str, ...]
    function: CaseFunction = field(compare=False)
    drafts: tuple[Draft, ...] = ALL_DRAFTS
    role: str = "server"
    needs: tuple[str, ...] = ()
    variant: Any = None
    negative: bool = False
    disruptive: bool = False
    witness: str | None = None
    version: int = 1
    flow_control: tuple[int | None, int | None, int | None] | None = None
    slow: bool = False

    @property
    def area(self) -> str:
        """The part of the specification that the case belongs to."""
        return self.identifier.partition(".")[0]

    @property
    def title(self) -> str:
        """First line of the description."""
        return self.description.partition("\n")[0]

    @property
    def description(self) -> str:
        """What is sent, what is expected and why, with the section."""
        return inspect.getdoc(self.function) or ""


class DuplicateCase(ValueError):
    """Two cases have the same identifier."""


_registry: dict[str, Case] = {}


def case(
    identifier: str,
    *requirements: str,
    drafts: Iterable[Draft] = ALL_DRAFTS,
    role: str = "server",
    needs: Iterable[str] = (),
    variants: Mapping[str, Any] | None = None,
    negative: bool = False,
    disruptive: bool = False,
    witness: str | None = None,
    version: int = 1,
    flow_control: tuple[int | None, int | None, int | None] | None = None,
    slow: bool = False,
) -> Callable[[CaseFunction], CaseFunction]:
    """Declare a case (see :class:`Case` for the parameters).

    ``variants`` maps the last part of the identifier to the value that the case reads from ``run.variant``.

    Raises ValueError for a malformed identifier or a case without requirement or description,
    DuplicateCase where the identifier is taken.
    """

    def declare(function: CaseFunction) -> CaseFunction:
        for suffix, variant in (variants or {"": None}).items():
            name = f"{identifier}.{suffix}" if suffix else identifier
            if not _IDENTIFIER.fullmatch(name):
                raise ValueError(
                    f"malformed case identifier {name!r}: expected area.name or area.name.variant"
                )
            if not requirements or not function.__doc__:
                raise ValueError(f"case {name} needs at least one requirement and a description")
            known = _registry.get(name)
            if known is not None and known.function.__module__ != function.__module__:
                raise DuplicateCase(f"case {name} is declared twice")
            _registry[name] = Case(
                identifier=name,
                requirements=tuple(requirements),
                function=function,
                drafts=tuple(drafts),
                role=role,
                needs=tuple(needs),
                variant=variant,
                negative=negative,
                disruptive=disruptive,
                witness=witness,
                version=version,
                flow_control=flow_control,
                slow=slow,
            )
        return function

    return declare


def cases_of(module: str) -> list[Case]:
    """Return the cases that the named module declares, in the order of declaration."""
    return [item for item in _registry.values() if item.function.__module__ == module]


def load_cases(packages: Iterable[str] = ("conformance.cases", "scenarios")) -> list[Case]:
    """Import all case modules of the packages; return their cases by identifier, disruptive ones last."""
    for name in packages:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.ispkg:
                importlib.import_module(f"{name}.{module.name}")
    return sorted(_registry.values(), key=lambda item: (item.disruptive, item.identifier))
