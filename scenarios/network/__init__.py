"""Network conditions: a seeded UDP relay in user space that delays, loses, reorders and rebinds."""

from scenarios.network.child import RelayFailed, RelayProcess
from scenarios.network.impairment import Direction, Fate, Impairment
from scenarios.network.profiles import PROFILES, Profile

__all__ = ["PROFILES", "Direction", "Fate", "Impairment", "Profile", "RelayFailed", "RelayProcess"]
