"""Running a foreign peer as a child process: ready when it says so, gone when the block ends."""

from __future__ import annotations

import selectors
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Final

READY: Final = "listening on "
START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 5.0


class StartFailed(Exception):
    """The server ended or stayed silent instead of announcing its URL."""


class PeerServer:
    """Context manager around a server command that prints ``listening on URL`` once it is ready.

    ``url`` is set on entry, for example ``https://127.0.0.1:40123/``. What the server prints on standard
    error goes to ``log``, or nowhere.
    """

    def __init__(self, command: Sequence[str], *, log: IO[str] | None = None) -> None:
        self.command = list(command)
        self.url = ""
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> PeerServer:
        """Start the server and wait until it is ready; raises :class:`StartFailed`."""
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log or subprocess.DEVNULL,
            text=True,
        )
        try:
            self.url = self._wait_until_ready(self._process)
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
        """Stop the server."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise StartFailed("the server was not started")
        return self._process.pid

    def stop(self) -> None:
        """End the server: asked first, killed after a while."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(START_TIMEOUT):
                raise StartFailed(f"{self.command[0]} did not become ready within {START_TIMEOUT:.0f} s")
        line = process.stdout.readline().strip()
        if not line.startswith(READY):
            raise StartFailed(f"{self.command[0]} said {line!r} instead of {READY + 'URL'!r}")
        return line.removeprefix(READY)
