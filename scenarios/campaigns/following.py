"""Running the command of a campaign: its lines as they come, its end in time, and its end when told to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

INTERRUPTED: Final = 130
TIMED_OUT: Final = 124
# Seconds between asking a command to end and ending it.
GRACE: Final = 30.0
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Follower:
    """One command of the Python interpreter and all that it starts, in a process group of their own.

    The command is interrupted once where this process is, so that it can say what it has found by then, and
    end what it has started; the group is killed where that does not help. The same happens after ``limit``
    seconds.
    """

    def __init__(self, command: Sequence[str], limit: float) -> None:
        # Unbuffered: what it said is there, too, where it has to be killed
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        self._timers: list[threading.Timer] = []
        self._code: int | None = None
        self._after(limit, self._expire)

    def follow(self, seen: Callable[[str], None]) -> int:
        """Give each line to ``seen``; return the exit code, INTERRUPTED or TIMED_OUT where it was ended."""
        assert self._process.stdout is not None
        try:
            with _taken(self._interrupt):
                for line in self._process.stdout:
                    seen(line.rstrip())
                code = self._process.wait()
                return code if self._code is None else self._code
        finally:
            for timer in self._timers:
                timer.cancel()
            # Also what the command has left behind
            self._kill()
            self._process.wait()
            self._process.stdout.close()

    def _interrupt(self) -> None:
        self._end(INTERRUPTED)

    def _expire(self) -> None:
        self._end(TIMED_OUT)

    def _end(self, code: int) -> None:
        if self._code is not None:
            self._kill()
            return
        self._code = code
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        self._after(GRACE, self._expire)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _taken(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` for each signal that asks this process to end; nothing under way is broken off by it."""
    before = [(number, signal.signal(number, lambda *_: act())) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Take an end that is asked for by any signal as Ctrl-C."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with _taken(interrupt):
        yield
