"""Run the two example programs against each other, each client in a process of its own.

`python scripts/try_examples.py [RUNS]` (default 100) prints how many succeeded, and fails if not all did.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXPECTED = "datagram: ECHO: a datagram\nstream: ECHO: a stream\n"
SERVE = "import runpy, sys; runpy.run_path(sys.argv[1])['app'].run(host='127.0.0.1', port=int(sys.argv[2]))"
TIMEOUT = 30.0


def main(runs: int) -> int:
    """Returns 0 if every run succeeded."""
    with server() as url:
        outcomes = [attempt(url) for _ in range(runs)]
    failures = [outcome for outcome in outcomes if outcome is not None]
    print(f"{runs - len(failures)} of {runs} succeeded")
    for failure in failures[:3]:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The example server on a free port; gives its URL."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SERVE, str(EXAMPLES / "server.py"), str(port)]
        process = subprocess.Popen(command, cwd=folder)
        try:
            # A client tries again until its handshake is answered, so there is nothing to wait for.
            yield f"https://127.0.0.1:{port}/"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def attempt(url: str) -> str | None:
    """One client. Returns what went wrong, `None` if nothing did."""
    command = [sys.executable, str(EXAMPLES / "client.py"), url]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"no end within {TIMEOUT} s"
    if done.returncode == 0 and done.stdout == EXPECTED and not done.stderr:
        return None
    return f"exit code {done.returncode}\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
