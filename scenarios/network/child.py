"""The relay as a child process, for everything that wants to put a network between itself and a target."""

from __future__ import annotations

import selectors
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final

from scenarios.network.profiles import Profile

READY: Final = "relaying on "
START_TIMEOUT: Final = 20.0
STOP_TIMEOUT: Final = 5.0


class RelayFailed(Exception):
    """The relay did not start; the text is what it said."""


class RelayProcess:
    """Context manager: while it is open, datagrams to :attr:`address` reach the target under the profile.

    Args:
        profile: a row of ``PROFILES``.
        seed: the same seed takes the same decisions.
        to: host and port of the target.
        log: file for the fates (JSON lines), or None.

    The relay ends with the block, and also when the process that started it dies.
    """

    def __init__(self, profile: Profile, seed: int, to: tuple[str, int], *, log: Path | None = None) -> None:
        self._command = [sys.executable, "-m", "scenarios.network", "--profile", profile.name]
        self._command += ["--seed", str(seed), "--to", f"[{to[0]}]:{to[1]}", "--until-eof"]
        if log is not None:
            self._command += ["--log", str(log.absolute())]
        self._process: subprocess.Popen[str] | None = None
        self.address = ("", 0)

    def __enter__(self) -> RelayProcess:
        """Start the relay and wait until it listens; raises :class:`RelayFailed`."""
        self._process = subprocess.Popen(
            self._command,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            self.address = self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the relay; its log is complete afterwards."""
        self.stop()

    def stop(self) -> None:
        """End the relay: closing its input asks it to, after a while it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> tuple[str, int]:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(START_TIMEOUT):
                raise RelayFailed(f"the relay did not become ready within {START_TIMEOUT:.0f} s")
        line = process.stdout.readline().strip()
        if not line.startswith(READY):
            raise RelayFailed(line + process.stdout.read() or "the relay ended without a word")
        host, _, port = line.removeprefix(READY).rpartition(":")
        return host.strip("[]"), int(port)
