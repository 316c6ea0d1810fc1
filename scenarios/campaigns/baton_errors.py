"""Every session error and stream error of Devious Baton, provoked in the reference as server and as client.

What counts is what is seen on the wire at the other end: the peer for the server, the model server with a
fault of its own for the client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from conformance.harness.embedded import Embedded
from conformance.peer.baton import (
    PATH,
    BatonMachine,
    Move,
    OpenStream,
    Options,
    Parameters,
    Role,
    SessionError,
    StreamError,
    encode_message,
)
from conformance.peer.baton.player import BatonPlayer
from conformance.peer.client import Peer
from conformance.peer.codepoints import CapsuleType
from conformance.peer.errorcodes import from_http
from conformance.peer.events import Capsule, StopSending, StreamReset, WireEvent
from conformance.peer.model import Behaviour, ModelServer
from conformance.peer.model.baton_endpoint import BatonBehaviour
from conformance.peer.openers import UdpOpener
from conformance.peer.options import PeerOptions
from conformance.peer.quic.udp import UdpLink
from scenarios.campaigns.baton_rounds import run_client

PATIENCE: Final = 20.0
CLIENT_TIMEOUT: Final = 30.0
INCOMPLETE: Final = b"\x05"
Code: TypeAlias = SessionError | StreamError


@dataclass(frozen=True, slots=True)
class Provocation:
    """One code that one role was to send; ``seen`` is what came, None where nothing did."""

    role: str
    code: Code
    seen: int | None

    @property
    def provoked(self) -> bool:
        """Tell whether that code came."""
        return self.seen == self.code


# --- the reference as server ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """How the peer provokes a server: what it asks for, its limits, and what it does."""

    query: str
    parameters: Parameters = field(default_factory=lambda: Parameters(baton=250))
    quic: Mapping[str, Any] = field(default_factory=dict)
    act: Callable[[BatonPlayer], None] = lambda player: None


def _open_incomplete(player: BatonPlayer) -> None:
    player.session.open_bidi(INCOMPLETE, end_stream=True)


def _open_unexpected(player: BatonPlayer) -> None:
    player.session.open_bidi(encode_message(9), end_stream=True)


def _abort_own(player: BatonPlayer) -> None:
    """Reset a stream whose message has only begun; its header has to be there first."""
    stream = player.session.open_bidi(INCOMPLETE)
    player.peer.wait(player.peer.quic.acked)
    player.peer.fence()
    stream.reset_with(StreamError.I_LIED)


def _play(player: BatonPlayer) -> None:
    player.catch_up()
    player.play(PATIENCE)


def _open_slowly(player: BatonPlayer) -> None:
    """Leave a message unfinished, so that there is something to stop."""
    player.session.open_bidi(INCOMPLETE)


# By name: session errors and stream errors share their numbers, and members of IntEnum compare as numbers.
VISITS: Final[Mapping[str, _Visit]] = {
    "DA_YAMN": _Visit(query="baton=250", quic={"max_streams_bidi": 0, "raise_limits": False}, act=_play),
    "BRUH": _Visit(query="baton=250", act=_open_incomplete),
    "SUS": _Visit(query="baton=250", act=_open_unexpected),
    "BORED": _Visit(query="baton=250"),
    "IDC": _Visit(query="baton=250&count=2&disinterest=0", act=_open_slowly),
    "WHATEVER": _Visit(query="baton=250&count=2", act=_abort_own),
    "I_LIED": _Visit(query="baton=250&count=2&lies=2", parameters=Parameters(baton=250, count=2), act=_play),
}


def provoke_server(code: Code, url: str, ca_file: Path) -> Provocation:
    """Provoke one code of the server of a URL."""
    visit = VISITS[code.name]
    options = PeerOptions(quic={**visit.quic, "ca_file": str(ca_file)}, deadline=PATIENCE)
    with Peer.connect(UdpOpener(url=url), options=options) as peer:
        player = BatonPlayer(peer, visit.parameters, path=f"{PATH}?{visit.query}")
        visit.act(player)
        peer.wait(lambda: _sent_code(code, peer.events.since(0)) is not None, PATIENCE)
        return Provocation("server", code, _sent_code(code, peer.events.since(0)))


def _sent_code(code: Code, events: list[WireEvent]) -> int | None:
    """Return the first code of the kind of ``code`` among what the other end sent."""
    for event in events:
        match event:
            case WireEvent(sent=True):
                continue
            case Capsule(capsule_type=CapsuleType.WT_CLOSE_SESSION) if isinstance(code, SessionError):
                return int.from_bytes(event.value[:4])
            case StopSending() if code is StreamError.IDC:
                found = from_http(event.error_code)
            case StreamReset() if isinstance(code, StreamError) and code is not StreamError.IDC:
                found = from_http(event.error_code)
            case _:
                continue
        # The code of a session that ends is none of the application
        if found is not None:
            return found
    return None


# --- the reference as client ---


Change: TypeAlias = Callable[[OpenStream], list[Move]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    """How the model server provokes a client, and the arguments of the client.

    ``change`` makes something else of the messages on streams of the server, ``lies`` are reset.
    """

    change: Change = lambda move: [move]
    lies: frozenset[int] = frozenset()
    quic: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


class _Machine(BatonMachine):
    """A server's machine that opens its streams with something else."""

    change: Change

    def _open(self, value: int, *, bidirectional: bool) -> list[Move]:
        moves = super()._open(value, bidirectional=bidirectional)
        return [
            new for move in moves for new in (self.change(move) if isinstance(move, OpenStream) else [move])
        ]


class _Baton(BatonBehaviour):
    """The endpoint with the faults of a host."""

    def __init__(self, host: _Host) -> None:
        super().__init__()
        self._host = host

    def machine(self, parameters: Parameters, options: Options) -> BatonMachine:
        """Return the machine of a session."""
        machine = _Machine(Role.SERVER, parameters, replace(options, lies=self._host.lies))
        machine.change = self._host.change
        return machine


class _Model(Behaviour):
    """The model with the faults of a host; notes how sessions are closed by the client."""

    def __init__(self, host: _Host) -> None:
        super().__init__()
        self.baton = _Baton(host)
        self.closes: list[int] = []
        self._quic = host.quic

    def quic_options(self) -> Mapping[str, Any]:
        """Return the limits."""
        return {**super().quic_options(), **self._quic}

    def reported_close(self, code: int, reason: str) -> tuple[int, str]:
        """Note the code of the client."""
        self.closes.append(code)
        return super().reported_close(code, reason)


def _opens_with(data: bytes, *, finish: bool = True) -> Change:
    return lambda move: [replace(move, data=data, finish=finish)]


HOSTS: Final[Mapping[str, _Host]] = {
    # The one bidirectional stream that the client may open is that of the session.
    "DA_YAMN": _Host(quic={"max_streams_bidi": 1, "raise_limits": False}),
    "BRUH": _Host(change=_opens_with(INCOMPLETE)),
    "SUS": _Host(change=_opens_with(encode_message(9))),
    "BORED": _Host(change=lambda move: [], arguments=("--bored-after", "1")),
    # What has arrived as a whole needs no STOP_SENDING (RFC 9000 §3.5): this leaves something to stop.
    "IDC": _Host(change=_opens_with(INCOMPLETE, finish=False), arguments=("--disinterest", "0,1")),
    # Two batons start with two messages and are answered with two: the fifth is on a bidirectional stream.
    "WHATEVER": _Host(lies=frozenset({4})),
    "I_LIED": _Host(arguments=("--lies", "0")),
}


@contextmanager
def _serving(behaviour: Behaviour, seen: list[WireEvent]) -> Iterator[str]:
    """Serve a model in a thread; gives its URL."""
    server = ModelServer(behaviour, handler=seen.append)
    link = UdpLink.server(server, ("127.0.0.1", 0))
    stop = threading.Event()
    thread = threading.Thread(target=link.serve, args=(stop,), name="model server")
    thread.start()
    try:
        yield f"https://127.0.0.1:{link.address[1]}/"
    finally:
        stop.set()
        thread.join()
        link.close()


def provoke_client(code: Code) -> Provocation:
    """Provoke one code of the reference's client."""
    host = HOSTS[code.name]
    model = _Model(host)
    seen: list[WireEvent] = []
    with _serving(model, seen) as url:
        arguments = ("--insecure", "--baton", "250", "--count", "2", *host.arguments)
        run_client(url, *arguments, timeout=CLIENT_TIMEOUT)
    if isinstance(code, SessionError):
        return Provocation("client", code, next(iter(model.closes), None))
    return Provocation("client", code, _sent_code(code, seen))


# --- both ---


def provoke_all(seen: Callable[[Provocation], None]) -> list[Provocation]:
    """Provoke each code in each role; ``seen`` gets each result at once."""
    results = []
    codes: list[Code] = [*SessionError, *StreamError]
    with Embedded("reference") as server:
        assert server.ca_file is not None
        for code in codes:
            for result in (provoke_server(code, server.url, server.ca_file), provoke_client(code)):
                results.append(result)
                seen(result)
    return results
