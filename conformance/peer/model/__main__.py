"""``python -m conformance.peer.model``: serve the model over UDP until interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from pathlib import Path

from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model.server import ModelServer
from conformance.peer.quic.certificates import load
from conformance.peer.quic.options import Address
from conformance.peer.quic.udp import UdpLink


def _drafts(text: str) -> tuple[Draft, ...]:
    return tuple(Draft(name.strip()) for name in text.split(","))


def main() -> int:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m conformance.peer.model", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--drafts", type=_drafts, default=DRAFTS, help="for example 16,02 (default: all)")
    parser.add_argument(
        "--cert", type=Path, help="PEM file of the certificate (default: a new self-signed one)"
    )
    parser.add_argument("--key", type=Path, help="PEM file of its private key")
    parser.add_argument("--retry", action="store_true", help="make clients prove their address")
    parser.add_argument(
        "--until-eof", action="store_true", help="end with standard input: when whoever holds it is gone"
    )
    arguments = parser.parse_args()
    certificate = load(arguments.cert, arguments.key) if arguments.cert and arguments.key else None
    server = ModelServer(drafts=arguments.drafts, retry=arguments.retry, certificate=certificate)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if arguments.until_eof:
        threading.Thread(target=_wait_for_eof, args=(stop,), daemon=True).start()
    link = UdpLink.server(server, (arguments.host, arguments.port))
    try:
        print(f"listening on {_url(link.address)}", flush=True)
        print(f"certificate sha256 {server.certificate.sha256.hex()}", flush=True)
        link.serve(stop)
        server.shut_down()
        link.run_until(lambda: not server.host.connections, server.behaviour.shutdown_timeout)
    finally:
        link.close()
    return 0


def _wait_for_eof(stop: threading.Event) -> None:
    # Not sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 4096):
        pass
    stop.set()


def _url(address: Address) -> str:
    host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    return f"https://{host}:{address[1]}/"


if __name__ == "__main__":
    raise SystemExit(main())
