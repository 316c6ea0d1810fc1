"""The interop server as a process of its own, as its users start it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DEADLINE = 30.0
"""Seconds; only a test that fails waits for it."""


class Running:
    """A server that has said where it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(line)
            if line.startswith("listening on "):
                break
        found = re.search(r"https://.*:(\d+)/", self.said[-1]) if self.said else None
        assert found is not None, process.stderr.read() if process.stderr is not None else self.said
        self.port = int(found[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate_hash(self) -> bytes:
        line = next(line for line in self.said if line.startswith("certificate sha-256 "))
        return bytes.fromhex(line.split()[2])

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, list[str]]:
        """The exit status and the lines of standard error."""
        _, errors = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, errors.splitlines()

    def stopped(self) -> list[dict[str, Any]]:
        """Its log, of `--log-format json`, once it has been told to end and has done so."""
        if self.process.poll() is None:
            self.signal()
        status, lines = self.end()
        assert status == 0, lines
        return [json.loads(line) for line in lines]


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Running]:
    """A server on a free port of 127.0.0.1; killed if the test leaves it running."""
    command = [sys.executable, "-m", "pywebtransport.interop", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def until(condition: Any, what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE:g} s: {what}"
        time.sleep(0.005)
