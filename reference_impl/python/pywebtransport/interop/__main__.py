"""Start the interop server: `python -m pywebtransport.interop` or `pywebtransport-interop`."""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pywebtransport._distribution import require_reference
from pywebtransport.certificates import certificate_hash, short_lived_certificate
from pywebtransport.exceptions import WebTransportError
from pywebtransport.interop import arguments, logs, metrics
from pywebtransport.interop.server import InteropServer
from pywebtransport.version import __version__

STDIN: Final = 0
PROGRAM: Final = "pywebtransport-interop"


def main(given_arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Returns 0; 2 for wrong arguments; 1 if the server cannot listen, or its core failed.
    """
    require_reference()
    given = arguments.read(given_arguments)
    logs.begin(form=given.log_format, level=given.log_level)
    with TemporaryDirectory(prefix="pywebtransport-") as folder:
        try:
            if given.cert is None:
                given.cert, given.key = _self_signed(Path(folder), given.hostname)
            asyncio.run(_serve(given))
        except (WebTransportError, metrics.MissingPackage, OSError) as error:
            print(f"{PROGRAM}: {getattr(error, 'message', error)}", file=sys.stderr)
            return 1
    return 0


async def _serve(given: argparse.Namespace) -> None:
    config = arguments.configuration(given, certfile=str(given.cert), keyfile=str(given.key))
    server = InteropServer(config, drain_timeout=given.drain_timeout)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    if given.until_eof:
        loop.add_reader(STDIN, _stop_at_eof, server)
    async with server, AsyncExitStack() as stack:
        if given.metrics is not None:
            facts = {"implementation": "webtransport-reference", "version": __version__}
            host, port = given.metrics
            port = await stack.enter_async_context(metrics.served(host, port, server.hub.figures, facts))
            print(f"metrics at http://{_in_url(host)}:{port}/metrics", flush=True)
        print(f"listening on https://{_in_url(given.host)}:{server.port}/", flush=True)
        await server.wait()


def _stop_at_eof(server: InteropServer) -> None:
    if not os.read(STDIN, 4096):
        asyncio.get_running_loop().remove_reader(STDIN)
        server.stop()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _self_signed(folder: Path, hostname: str) -> tuple[Path, Path]:
    certificate, key = short_lived_certificate(hostname)
    digest = certificate_hash(certificate)
    print(f"certificate sha-256 {digest.hex()} base64 {base64.b64encode(digest).decode()}", flush=True)
    paths = folder / "server.crt", folder / "server.key"
    for path, content in zip(paths, (certificate, key), strict=True):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return paths


if __name__ == "__main__":
    sys.exit(main())
