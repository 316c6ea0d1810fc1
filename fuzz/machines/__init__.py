"""State machines of Hypothesis that generate operations while a live target reacts to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fuzz.machines.base import Machine, Stage
from fuzz.machines.baton import BatonMachine
from fuzz.machines.capsules import CapsuleMachine
from fuzz.machines.mutation import MutationMachine
from fuzz.machines.packets import PacketMachine
from fuzz.machines.sessions import SessionMachine

MACHINES: Final[Mapping[str, type[Machine]]] = {
    machine.name: machine
    for machine in (SessionMachine, CapsuleMachine, BatonMachine, MutationMachine, PacketMachine)
}
# The order in which a campaign lets all of them play.
ROUNDS: Final = tuple(
    name for other in ("baton", "mutation", "packets") for name in ("sessions", "capsules", other)
)

__all__ = ["MACHINES", "ROUNDS", "Machine", "Stage"]
