"""Start the interop server: `python -m pywebtransport.interop` or `pywebtransport-interop`."""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pywebtransport._distribution import require_reference
from pywebtransport.certificates import certificate_hash, short_lived_certificate
from pywebtransport.config import DRAFTS
from pywebtransport.exceptions import WebTransportError
from pywebtransport.interop.server import InteropServer, Options
from pywebtransport.version import __version__

STDIN: Final = 0


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns 0, 2 for wrong arguments, 1 if the server cannot listen."""
    require_reference()
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.cert is None) != (given.key is None):
        parser.error("--cert and --key come together")
    logging.basicConfig(
        level=given.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    with TemporaryDirectory(prefix="pywebtransport-") as folder:
        try:
            if given.cert is None:
                given.cert, given.key = _self_signed(Path(folder), given.hostname)
            options = Options(
                host=given.host,
                port=given.port,
                certfile=str(given.cert),
                keyfile=str(given.key),
                drafts=given.drafts,
                drain_timeout=given.drain_timeout,
                max_connections=given.max_connections,
                keylog_file=given.keylog,
            )
            asyncio.run(_serve(options, until_eof=given.until_eof))
        except (WebTransportError, OSError) as error:
            print(f"{parser.prog}: {getattr(error, 'message', error)}", file=sys.stderr)
            return 1
    return 0


async def _serve(options: Options, *, until_eof: bool) -> None:
    server = InteropServer(options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    if until_eof:
        loop.add_reader(STDIN, _stop_at_eof, server)
    async with server:
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"listening on https://{host}:{server.port}/", flush=True)
        await server.wait()


def _stop_at_eof(server: InteropServer) -> None:
    if not os.read(STDIN, 4096):
        asyncio.get_running_loop().remove_reader(STDIN)
        server.stop()


def _self_signed(folder: Path, hostname: str) -> tuple[Path, Path]:
    certificate, key = short_lived_certificate(hostname)
    digest = certificate_hash(certificate)
    print(f"certificate sha-256 {digest.hex()} base64 {base64.b64encode(digest).decode()}", flush=True)
    paths = folder / "server.crt", folder / "server.key"
    for path, content in zip(paths, (certificate, key), strict=True):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return paths


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pywebtransport-interop",
        description="WebTransport server for interoperability tests (endpoint contract: docs/endpoints.md).",
    )
    parser.add_argument("--host", default="::", help="address to listen at; :: takes IPv4 as well (default)")
    parser.add_argument("--port", type=int, default=4433, help="UDP port, 0 for a free one (default: 4433)")
    parser.add_argument(
        "--cert", type=Path, help="certificate chain, PEM; without it one is made and its hash shown"
    )
    parser.add_argument("--key", type=Path, help="private key, PEM")
    parser.add_argument("--hostname", default="localhost", help="name in a certificate that is made here")
    parser.add_argument(
        "--drafts", type=_drafts, default=list(DRAFTS), help="drafts to offer, of 16,14,07,02 (default: all)"
    )
    parser.add_argument(
        "--drain-timeout", type=float, default=2.0, help="seconds that sessions get at the end"
    )
    parser.add_argument("--max-connections", type=int, default=1000)
    parser.add_argument("--keylog", help="file for TLS secrets (default: the environment's SSLKEYLOGFILE)")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="end when standard input, a pipe, does: with whoever holds it",
    )
    parser.add_argument("--version", action="version", version=f"webtransport-reference {__version__}")
    return parser


def _drafts(text: str) -> list[int]:
    try:
        drafts = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of drafts") from None
    if not set(drafts) <= set(DRAFTS) or len(set(drafts)) != len(drafts):
        raise argparse.ArgumentTypeError(f"{text!r}: drafts are 16, 14, 07 and 02, each once")
    return drafts


if __name__ == "__main__":
    sys.exit(main())
