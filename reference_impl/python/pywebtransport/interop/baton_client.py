"""The client's end of Devious Baton: `python -m pywebtransport.interop.baton_client URL`.

Plays session after session until enough messages went both ways, and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from pywebtransport._distribution import require_reference
from pywebtransport.client import WebTransportClient
from pywebtransport.config import DRAFTS, ClientConfig
from pywebtransport.exceptions import WebTransportError
from pywebtransport.interop.baton import BatonMachine, Role, SessionCode, StreamCode
from pywebtransport.interop.baton_endpoint import BatonEndpoint
from pywebtransport.interop.baton_game import BORED_AFTER, BatonGame
from pywebtransport.interop.hub import Hub
from pywebtransport.interop.query import MAX_BYTES, Query, read_ordinals

_TALLIES: Final = ("messages_sent", "messages_received", "datagrams_sent", "datagrams_received")
_CODES: Final = ("resets_sent", "resets_received", "stops_sent", "stops_received")


@dataclass(slots=True)
class Results:
    """Sums over all sessions. `errors` are sentences; a session that ended with a code is one."""

    sessions: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    codes: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in _CODES})
    session_codes: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def messages(self) -> int:
        """Messages both ways."""
        return self.figures["messages_sent"] + self.figures["messages_received"]

    def add(self, game: BatonGame) -> None:
        """A session has ended."""
        self.sessions += 1
        for name in _TALLIES:
            self.figures[name] += getattr(game.tally, name)
        for name in _CODES:
            for code, number in getattr(game.tally, name).items():
                self.codes[name][_name(StreamCode, code)] += number
        session = game.session
        if session.close_code or session.close_source not in ("local", "peer"):
            source, code = session.close_source, session.close_code or 0
            self.session_codes[f"{source}:{_name(SessionCode, code)}"] += 1
            self.errors.append(f"the session was ended by {source} with {_name(SessionCode, code)}")

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "messages": self.messages,
            "sessions": self.sessions,
            "seconds": round(self.seconds, 3),
            **{name: self.figures[name] for name in _TALLIES},
            **self.codes,
            "session_codes": self.session_codes,
            "errors": self.errors,
        }


def _name(codes: type[SessionCode] | type[StreamCode], code: int | None) -> str:
    """The name of a code, or the number that has none."""
    return codes(code).name if code in list(codes) else str(code)


def main(arguments: list[str] | None = None) -> int:
    """Play. Returns 0 if every session ended without an error, 1 if not, 2 for wrong arguments."""
    require_reference()
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        url = _session_url(given)
    except ValueError as error:
        parser.error(str(error))
    results = Results()
    started = time.perf_counter()
    try:
        asyncio.run(_play(url, given, results))
    except (WebTransportError, OSError) as error:
        results.errors.append(str(getattr(error, "message", error)))
    results.seconds = time.perf_counter() - started
    print(json.dumps(results.as_dict()), flush=True)
    return 1 if results.errors else 0


async def _play(url: str, given: argparse.Namespace, results: Results) -> None:
    verify = {"verify_mode": ssl.CERT_NONE} if given.insecure else {"ca_certs": given.ca}
    config = ClientConfig(**verify, drafts=given.drafts, read_timeout=None, write_timeout=None)
    asked = Query(urlsplit(url).query and f"?{urlsplit(url).query}")
    async with WebTransportClient(config=config) as client:
        while not results.errors:
            machine = BatonMachine(
                Role.CLIENT,
                count=asked.number("count", 1, low=1),
                value=asked.number("baton", high=255) or None,
                lies=given.lies,
                disinterest=given.disinterest,
            )
            session = await client.connect(url=url)
            game = BatonGame(
                session,
                asked,
                Hub(drafts=[], endpoints={}),
                machine=machine,
                padding=given.padding,
                bored_after=given.bored_after,
            )
            before = results.messages
            await game.run()
            results.add(game)
            if results.messages >= given.messages or results.messages == before:
                break


def _session_url(given: argparse.Namespace) -> str:
    """The URL with the parameters of the command; without a path that of the draft.

    Raises:
        ValueError: the URL cannot be used, or its parameters are impossible.
    """
    parts = urlsplit(given.url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"{given.url!r} is no https URL")
    parameters = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    for name in ("baton", "count"):
        if (value := getattr(given, name)) is not None:
            parameters[name] = [str(value)]
    path = parts.path if parts.path not in ("", "/") else str(BatonEndpoint.path)
    url: str = parts._replace(path=path, query=urlencode(parameters, doseq=True), fragment="").geturl()
    query = Query(f"?{urlsplit(url).query}")
    query.number("count", 1, low=1)
    query.number("baton", 1, low=1, high=255)
    return url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pywebtransport.interop.baton_client",
        description="Play Devious Baton with a server; without a path at /webtransport/devious-baton.",
    )
    parser.add_argument("url", metavar="URL", help="https URL of the server")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--insecure", action="store_true", help="do not verify the certificate")
    trust.add_argument("--ca", metavar="FILE", help="trust the certificates of a PEM file")
    parser.add_argument("--baton", type=_number(1, 255), metavar="N", help="initial value")
    parser.add_argument("--count", type=_number(1, 1000), metavar="N", help="batons at once (default: 1)")
    parser.add_argument(
        "--padding", type=_number(0, MAX_BYTES), metavar="N", help="bytes in front of each value"
    )
    parser.add_argument(
        "--messages",
        type=_number(1, 1_000_000),
        default=1,
        metavar="N",
        help="sessions until N went both ways",
    )
    parser.add_argument("--drafts", type=_drafts, default=list(DRAFTS), metavar="LIST", help="of 16,14,07,02")
    parser.add_argument("--bored-after", type=float, default=BORED_AFTER, metavar="S", help="then BORED")
    for name, what in (
        ("lies", "our messages to reset with I_LIED"),
        ("disinterest", "streams to stop (IDC)"),
    ):
        parser.add_argument(
            f"--{name}", type=read_ordinals, default=frozenset(), metavar="LIST", help=f"ordinals of {what}"
        )
    return parser


def _number(low: int, high: int) -> Any:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 20 or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return int(text)

    return read


def _drafts(text: str) -> list[int]:
    if not set(text.split(",")) <= {"16", "14", "07", "02"}:
        raise argparse.ArgumentTypeError(f"{text!r}: drafts are 16, 14, 07 and 02")
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
