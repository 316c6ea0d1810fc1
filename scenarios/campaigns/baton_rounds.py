"""Devious Baton played to its end under a network profile, by the reference's client or by the peer."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from conformance.harness.embedded import Embedded
from conformance.peer.baton import PATH, Parameters
from conformance.peer.baton.player import BatonPlayer
from conformance.peer.client import Peer
from conformance.peer.openers import UdpOpener
from conformance.peer.options import ConnectFailed, PeerOptions, SessionRefused
from scenarios.network import Profile, RelayProcess

SEED: Final = 1
MOST_BATONS: Final = 4
VALUES: Final = 256
# Seconds without any event after which a round has failed, and seconds for all of a round.
DEADLINE: Final = 30.0
ROUND_TIMEOUT: Final = 300.0
CLIENT: Final = (sys.executable, "-m", "pywebtransport.interop.baton_client")


@dataclass(slots=True)
class Round:
    """One row of the table."""

    profile: str
    pairing: str
    seconds: float = 0.0
    messages: int = 0
    sessions: int = 0
    violations: list[str] = field(default_factory=list)


def plan(messages: int) -> Parameters:
    """Return the parameters of sessions for so many messages: up to four batons, as long as needed."""
    count = min(MOST_BATONS, messages)
    longest = math.ceil(messages / count)
    return Parameters(baton=min(max(VALUES + 1 - longest, 1), VALUES - 1), count=count)


def run_client(url: str, *arguments: str, timeout: float = ROUND_TIMEOUT) -> dict[str, Any]:
    """Run the reference's client; return its line of results, with ``errors`` if there is none."""
    try:
        done = subprocess.run(
            [*CLIENT, url, *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return {"errors": [f"the client did not end within {timeout:.0f} s"]}
    try:
        results: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"errors": [f"the client ended with {done.returncode}: {done.stderr.strip()[-300:]}"]}
    return results


def reference_round(profile: Profile, to: tuple[str, int], _ca_file: Path, messages: int) -> Round:
    """The reference's client plays with the server at ``to``.

    It does not verify: the server's certificate is that of an authority, which it takes from no server.
    """
    row = Round(profile.name, "reference × reference")
    parameters = plan(messages)
    with RelayProcess(profile, SEED, to) as relay:
        started = time.monotonic()
        results = run_client(
            f"https://{relay.address[0]}:{relay.address[1]}{PATH}",
            *("--insecure", "--messages", str(messages)),
            *("--baton", str(parameters.baton), "--count", str(parameters.count)),
        )
        row.seconds = time.monotonic() - started
    row.messages, row.sessions = results.get("messages", 0), results.get("sessions", 0)
    row.violations = list(results["errors"])
    return row


def peer_round(profile: Profile, to: tuple[str, int], ca_file: Path, messages: int) -> Round:
    """The peer plays with the server at ``to``, and its checker judges that."""
    row = Round(profile.name, "peer × reference")
    parameters = plan(messages)
    with RelayProcess(profile, SEED, to) as relay:
        opener = UdpOpener(
            url=f"https://{to[0]}:{to[1]}{PATH}", connect_to=relay.address, quic={"ca_file": str(ca_file)}
        )
        started = time.monotonic()
        while row.messages < messages and not row.violations:
            try:
                with Peer.connect(opener, options=PeerOptions(deadline=DEADLINE)) as peer:
                    _play(row, BatonPlayer(peer, parameters))
            except (ConnectFailed, SessionRefused) as error:
                row.violations.append(str(error))
        row.seconds = time.monotonic() - started
    return row


def _play(row: Round, player: BatonPlayer) -> None:
    if not player.play():
        row.violations.append(f"nothing came for {DEADLINE:.0f} s, {player.machine.active} batons are out")
    row.violations += [f"{each.requirement}: {each.text}" for each in player.violations()]
    row.messages += player.messages
    row.sessions += 1


PAIRINGS: Final[Mapping[str, Callable[[Profile, tuple[str, int], Path, int], Round]]] = MappingProxyType(
    {"reference": reference_round, "peer": peer_round}
)


def address(server: Embedded) -> tuple[str, int]:
    """Where a server that was started listens."""
    host, _, port = server.url.split("/")[2].rpartition(":")
    return host.strip("[]"), int(port)


def play_all(profiles: list[Profile], messages: int, seen: Callable[[Round], None]) -> list[Round]:
    """Play each pairing under each profile with one reference server; ``seen`` gets each row at once."""
    rows = []
    with Embedded("reference") as server:
        assert server.ca_file is not None
        for profile in profiles:
            for play in PAIRINGS.values():
                row = play(profile, address(server), server.ca_file, messages)
                if row.messages < messages:
                    row.violations.append(f"only {row.messages} of {messages} messages were played")
                if not server.alive():
                    row.violations.append("the server has ended")
                rows.append(row)
                seen(row)
    return rows
