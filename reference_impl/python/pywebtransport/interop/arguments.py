"""The command line of the interop server."""

from __future__ import annotations

import argparse
from dataclasses import fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from pywebtransport.config import DRAFTS, ServerConfig
from pywebtransport.exceptions import ConfigurationError
from pywebtransport.interop import logs, metrics
from pywebtransport.version import __version__

_OF_THEIR_OWN: Final = ("bind_port", "max_connections", "qlog_max_files", "qlog_max_file_size")
_WITHOUT_EFFECT: Final = (
    "flow_control_window",
    "max_pending_capsules",
    "pending_event_ttl",
    "resource_cleanup_interval",
)
"""Only there for programs that set them."""
LIMITS: Final = tuple(
    sorted(name for name in ServerConfig._ranges if name not in (*_OF_THEIR_OWN, *_WITHOUT_EFFECT))
)
"""What `--limit` takes: every number of `ServerConfig` that means something and has no option of its own."""

_DEFAULTS: Final[dict[str, Any]] = {
    # A peer may take its time: the idle time-out of the connection is the limit
    "read_timeout": None,
    "write_timeout": None,
    "close_timeout": 1.0,
    # Well below what is read ahead, so that a peer that ignores the session's limit is found out; it grows
    "initial_max_data": 1 << 18,
}
"""Where the server differs from `ServerConfig`."""

_EPILOG: Final = """\
limits (--limit NAME=VALUE, as often as you like; what they mean and what a peer sees: docs/limits.md):
  {limits}

examples:
  pywebtransport-interop                             UDP 4433, IPv4 and IPv6, a certificate of its own
  pywebtransport-interop --port 0 --drafts 16,02 --cert chain.pem --key key.pem
  pywebtransport-interop --log-format json --log-level info --metrics 9433 --qlog traces
  pywebtransport-interop --max-connections 100 --limit max_sessions=4 --limit connection_idle_timeout=10

A browser accepts the certificate that is made here by serverCertificateHashes with the SHA-256 that is shown.
The first SIGINT or SIGTERM asks all peers to finish and waits for --drain-timeout, the second ends at once;
the exit status is 0 in both cases, 1 if it cannot listen or its core fails, 2 for wrong arguments.
"""


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    defaults = {item.name: item.default for item in fields(ServerConfig)} | _DEFAULTS
    limits = "\n  ".join(f"{name} ({defaults[name]})" for name in LIMITS)
    command = argparse.ArgumentParser(
        prog="pywebtransport-interop",
        description="WebTransport server for interoperability tests (endpoint contract: docs/endpoints.md).",
        epilog=_EPILOG.format(limits=limits),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listening = command.add_argument_group("listening")
    listening.add_argument(
        "--host", default="::", help="address to listen at; :: takes IPv4 as well (default)"
    )
    listening.add_argument(
        "--port", type=_port, default=4433, help="UDP port, 0 for a free one (default: 4433)"
    )
    listening.add_argument(
        "--cert", type=Path, help="certificate chain, PEM; without it one is made and its hash shown"
    )
    listening.add_argument("--key", type=Path, help="private key, PEM")
    listening.add_argument("--hostname", default="localhost", help="name in a certificate that is made here")
    listening.add_argument(
        "--drafts", type=_drafts, default=list(DRAFTS), help="drafts to offer, of 16,14,07,02 (default: all)"
    )
    listening.add_argument(
        "--early-data",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take 0-RTT; a request in it waits for the end of the handshake (default: yes)",
    )
    limiting = command.add_argument_group("limits")
    limiting.add_argument(
        "--max-connections", type=int, default=1000, help="further ones are refused (default: 1000)"
    )
    limiting.add_argument(
        "--limit",
        type=_limit,
        action="append",
        default=[],
        dest="limits",
        metavar="NAME=VALUE",
        help="another limit, see below",
    )
    watching = command.add_argument_group("watching")
    watching.add_argument(
        "--log-format", default="text", choices=logs.FORMATS, help="on standard error (default: text)"
    )
    watching.add_argument(
        "--log-level",
        default="warning",
        choices=logs.LEVELS,
        help="info: connections and sessions; debug: also what cut a stream short (default: warning)",
    )
    watching.add_argument(
        "--keylog", help="file that TLS secrets are appended to (default: the environment's SSLKEYLOGFILE)"
    )
    watching.add_argument(
        "--qlog", metavar="DIR", help="folder for a trace of each connection (packets, losses, recovery)"
    )
    watching.add_argument(
        "--qlog-max-files", type=int, default=1000, help="the newest that are kept (default: 1000)"
    )
    watching.add_argument(
        "--qlog-max-size", type=int, default=16 << 20, help="bytes of a trace (default: 16 MiB)"
    )
    watching.add_argument(
        "--metrics",
        type=_address,
        metavar="[HOST:]PORT",
        help="Prometheus metrics over HTTP at /metrics, on 127.0.0.1 unless HOST says otherwise; there is no "
        "access control",
    )
    ending = command.add_argument_group("ending")
    ending.add_argument(
        "--drain-timeout",
        type=_seconds,
        default=2.0,
        help="seconds that sessions get at the end (default: 2)",
    )
    ending.add_argument(
        "--until-eof",
        action="store_true",
        help="end when standard input, a pipe, does: with whoever holds it",
    )
    command.add_argument("--version", action="version", version=f"webtransport-reference {__version__}")
    return command


def read(arguments: list[str] | None) -> argparse.Namespace:
    """The arguments, checked as far as that is possible without acting on them; exits with 2 if wrong."""
    command = parser()
    given = command.parse_args(arguments)
    if (given.cert is None) != (given.key is None):
        command.error("--cert and --key come together")
    given.limits = dict(given.limits)
    try:
        configuration(given, certfile="-", keyfile="-")
    except ConfigurationError as error:
        command.error(error.message)
    return given


def configuration(given: argparse.Namespace, *, certfile: str, keyfile: str) -> ServerConfig:
    """The configuration that the arguments ask for, validated.

    Raises:
        ConfigurationError: a value cannot be used.
    """
    config = ServerConfig(
        certfile=certfile,
        keyfile=keyfile,
        bind_host=given.host,
        bind_port=given.port,
        drafts=given.drafts,
        max_connections=given.max_connections,
        keylog_file=given.keylog,
        early_data=given.early_data,
        qlog_folder=given.qlog,
        qlog_max_files=given.qlog_max_files,
        qlog_max_file_size=given.qlog_max_size,
        **_DEFAULTS | given.limits,
    )
    config.validate()
    return config


def _drafts(text: str) -> list[int]:
    try:
        drafts = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of drafts") from None
    if not set(drafts) <= set(DRAFTS) or len(set(drafts)) != len(drafts):
        raise argparse.ArgumentTypeError(f"{text!r}: drafts are 16, 14, 07 and 02, each once")
    return drafts


def _limit(text: str) -> tuple[str, int | float]:
    name, _, value = text.partition("=")
    if name not in LIMITS:
        raise argparse.ArgumentTypeError(f"{name!r} is not a limit; they are listed by --help")
    try:
        return name, int(value)
    except ValueError:
        try:
            return name, float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: the value is not a number") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0")
    return seconds


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        return metrics.DEFAULT_HOST, _port(port)
    host = host.removeprefix("[").removesuffix("]")
    if host != "localhost":
        try:
            ip_address(host)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an address and a port") from None
    return host, _port(port)
