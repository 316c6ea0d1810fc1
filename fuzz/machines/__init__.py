"""State machines of Hypothesis that generate operations while a live target reacts to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fuzz.machines.base import Machine, Stage
from fuzz.machines.capsules import CapsuleMachine
from fuzz.machines.sessions import SessionMachine

MACHINES: Final[Mapping[str, type[Machine]]] = {"sessions": SessionMachine, "capsules": CapsuleMachine}

__all__ = ["MACHINES", "Machine", "Stage"]
