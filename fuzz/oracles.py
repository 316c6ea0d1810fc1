"""Oracles beside the model: an innocent session, its latency, and the memory of a local target."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from statistics import median
from typing import Final

from conformance.harness.process import resident
from conformance.harness.target import Target
from conformance.peer.client import Peer
from conformance.peer.drafts import Draft
from conformance.peer.options import ConnectFailed, SessionRefused
from conformance.peer.session import Session
from fuzz.violations import Violation

TOKEN: Final = b"innocent"
# Seconds for an echo of the innocent session before it counts as disturbed, and as slow.
PATIENCE: Final = 5.0
SLOW: Final = 1.0
SAMPLES: Final = 200
MAX_USES: Final = 2000
# Growth of a target's memory that is called a leak: a factor, and at least so many bytes.
GROWTH: Final = 3.0
LEAK: Final = 256 * 1024 * 1024


class Innocent:
    """A session of its own connection that does nothing wrong, and has to be served all the time."""

    def __init__(self, target: Target, draft: Draft) -> None:
        self._target = target
        self._draft = draft
        self._peer: Peer | None = None
        self._session: Session | None = None
        self._uses = 0
        self.latencies: deque[float] = deque(maxlen=SAMPLES)

    def check(self) -> Violation | None:
        """Exchange an echo; return what disturbs it. TargetGone is left to the caller of the next session."""
        if self._peer is None and not self._open():
            return None
        assert self._peer is not None and self._session is not None
        started = self._peer.link.now()
        if not self._target.capabilities.echo_bidi:
            served = self._ping()
        else:
            stream = self._session.open_bidi(TOKEN, end_stream=True)
            self._peer.wait(lambda: stream.done, PATIENCE)
            served = stream.ended and stream.received.endswith(TOKEN)
        elapsed = self._peer.link.now() - started
        self.latencies.append(elapsed)
        self._uses += 1
        closed = self._peer.closed
        if not served or closed is not None:
            self.close()
            if closed is not None and closed.by in ("idle", "local"):
                return None
            reaction = "silence" if closed is None else f"connection_closed {closed.error_code:#x}"
            return Violation(
                "innocent", "innocent-session", reaction, "another connection's session was hurt"
            )
        if self._uses >= MAX_USES:
            self.close()
        return None

    def slow(self) -> Violation | None:
        """Return a violation where the echoes take long by now."""
        if len(self.latencies) == SAMPLES and median(self.latencies) > SLOW:
            return Violation("latency", "latency", "slow", f"echoes take {median(self.latencies):.2f} s")
        return None

    def close(self) -> None:
        """Close the connection."""
        if self._peer is not None:
            self._peer.close()
        self._peer = self._session = None
        self._uses = 0

    def _open(self) -> bool:
        try:
            quic = {**self._target.options.quic, "frame_events": False}
            self._peer = self._target.connect(self._draft, replace(self._target.options, quic=quic))
            self._session = self._target.establish(self._peer)
        except (ConnectFailed, SessionRefused):
            self.close()
            return False
        return True

    def _ping(self) -> bool:
        assert self._peer is not None
        self._peer.quic.send_ping()
        return self._peer.wait(self._peer.quic.acked, PATIENCE)


class Memory:
    """The resident memory of a process of this machine, through /proc."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.first = resident(pid)
        self.last = self.first

    def check(self) -> Violation | None:
        """Return a violation where the process has grown out of proportion, or is gone."""
        self.last = resident(self.pid)
        if self.last is None or self.first is None:
            text = f"the process {self.pid} of the target is gone"
            return Violation("crash", "process", "gone", text)
        if self.last > max(GROWTH * self.first, self.first + LEAK):
            text = f"the target's memory grew from {self.first >> 20} to {self.last >> 20} MiB"
            return Violation("memory", "memory", "grown", text)
        return None


def wait_until_back(target: Target, draft: Draft, seconds: float) -> bool:
    """Try for a while to connect to a target that did not answer; True once it does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            target.connect(draft).close()
        except ConnectFailed:
            if time.monotonic() >= deadline:
                return False
        else:
            return True
