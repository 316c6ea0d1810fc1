"""What the sessions of an interop server share: records of `observe`, counters, and the list of endpoints."""

from __future__ import annotations

import json
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pywebtransport.session import WebTransportSession
from pywebtransport.version import __version__

MAX_RECORDS: Final = 4096
MAX_RECORDED_IDS: Final = 64
MAX_RECORDED_BYTES: Final = 65536
"""Of stream bodies and datagrams of one session; lengths are always recorded."""
_MAX_RECORD_MEMORY: Final = 4 << 20
"""Of all JSON lines of one ID."""

_COUNTED: Final = ("handshakes_refused", "retries_sent", "datagrams_dropped", "send_errors")
_TRAFFIC: Final = ("bytes_received", "bytes_sent", "datagrams_received", "datagrams_sent")

DRAFT_NAMES: Final = {16: "16", 14: "14", 7: "07", 2: "02"}


@dataclass(slots=True)
class Records:
    """The records of one ID: JSON lines, oldest first."""

    lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_RECORDS))
    size: int = 0
    next_seq: int = 0
    next_session: int = 0

    def begin_session(self) -> int:
        """The number of a new session."""
        self.next_session += 1
        return self.next_session - 1

    def add(self, event: str, session: int, **members: Any) -> None:
        """Append a record; the oldest go where there are too many."""
        record = {"event": event, "seq": self.next_seq, "session": session, **members}
        self.next_seq += 1
        line = json.dumps(record, ensure_ascii=False).encode(errors="replace") + b"\n"
        if len(self.lines) == MAX_RECORDS:
            self.size -= len(self.lines.popleft())
        self.lines.append(line)
        self.size += len(line)
        while self.size > _MAX_RECORD_MEMORY and len(self.lines) > 1:
            self.size -= len(self.lines.popleft())

    def snapshot(self) -> bytes:
        """All lines at this moment."""
        return b"".join(self.lines)


def _traffic(session: WebTransportSession) -> dict[str, int]:
    return {
        "bytes_received": session._bytes_received,
        "bytes_sent": session._bytes_sent,
        "datagrams_received": session._datagrams_received,
        "datagrams_sent": session._datagrams_sent,
    }


class Hub:
    """Shared by all sessions of a server."""

    def __init__(self, *, drafts: list[int], endpoints: dict[str, str]) -> None:
        self.drafts = [DRAFT_NAMES[draft] for draft in drafts]
        self.endpoints = endpoints
        self.sessions_total = 0
        self.sessions_refused = 0
        self.started_at = time.monotonic()
        self.endpoint_stats: Callable[[], Mapping[str, Any]] = dict
        """Asks the I/O thread, once there is one."""
        self._active: set[WebTransportSession] = set()
        self._ended: Counter[str] = Counter()
        self._records: OrderedDict[str, Records] = OrderedDict()

    def records(self, key: str) -> Records:
        """The records of an ID, made where there are none; the ID unused for longest is forgotten."""
        records = self._records.setdefault(key, Records())
        self._records.move_to_end(key)
        while len(self._records) > MAX_RECORDED_IDS:
            self._records.popitem(last=False)
        return records

    def recorded(self, key: str) -> bytes:
        """The lines of an ID; nothing where there are none."""
        records = self._records.get(key)
        return b"" if records is None else records.snapshot()

    def begin(self, session: WebTransportSession) -> None:
        """A session is served from now on."""
        self.sessions_total += 1
        self._active.add(session)

    def end(self, session: WebTransportSession) -> None:
        """It has ended: its figures are kept."""
        self._active.discard(session)
        self._ended.update(_traffic(session))

    def figures(self) -> dict[str, float]:
        """All that is counted, by the names of `metrics.FIGURES`."""
        stats = self.endpoint_stats()
        traffic = self._ended.copy()
        for session in self._active:
            traffic.update(_traffic(session))
        return {
            **{name: stats.get(name, 0) for name in ("connections", "connections_total", "streams")},
            **{f"{name}_total": stats.get(name, 0) for name in _COUNTED},
            **{f"{name}_total": traffic[name] for name in _TRAFFIC},
            "events_queued": stats.get("events_queued", 0),
            "sessions": len(self._active),
            "sessions_total": self.sessions_total,
            "sessions_refused_total": self.sessions_refused,
            "uptime_seconds": round(time.monotonic() - self.started_at, 3),
        }

    def status(self, draft: int) -> dict[str, Any]:
        """The answer of the endpoint `status`."""
        return {
            "status": "ok",
            "implementation": "webtransport-reference",
            "version": __version__,
            "draft": DRAFT_NAMES.get(draft, "16"),
            "drafts": self.drafts,
            "endpoints": self.endpoints,
            "sessions_active": len(self._active),
            "sessions_total": self.sessions_total,
            "uptime_ms": int((time.monotonic() - self.started_at) * 1000),
            "metrics": self.figures(),
        }
