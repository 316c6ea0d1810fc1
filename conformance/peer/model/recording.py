"""``observe``: what the application saw, as JSON records (docs/endpoints.md)."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from conformance.peer.model.applications import Echo

if TYPE_CHECKING:
    from conformance.peer.events import Json
    from conformance.peer.model.fields import Request
    from conformance.peer.model.sessions import Session
    from conformance.peer.model.streams import WtStream

MAX_IDS: Final = 64
MAX_RECORDS: Final = 4096
MAX_DATA: Final = 65536
VALID_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Recording:
    """The records of one id."""

    def __init__(self) -> None:
        self.records: list[dict[str, Json]] = []
        self.sessions = 0

    def add(self, event: str, session: int, **members: Json) -> None:
        """Append a record, up to the bound."""
        if len(self.records) < MAX_RECORDS:
            self.records.append({"event": event, "seq": len(self.records), "session": session, **members})

    def lines(self) -> str:
        """Return the records as JSON lines."""
        return "".join(json.dumps(record) + "\n" for record in self.records)


class Recordings:
    """The recordings of a server, the oldest dropped first."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Recording] = OrderedDict()

    def open(self, name: str) -> Recording:
        """Return the recording of an id, a new one if there is none."""
        recording = self._by_id.setdefault(name, Recording())
        if len(self._by_id) > MAX_IDS:
            self._by_id.popitem(last=False)
        return recording

    def lines(self, name: str) -> str:
        """Return the records of an id as JSON lines, empty if there are none."""
        recording = self._by_id.get(name)
        return recording.lines() if recording is not None else ""


class Observing(Echo):
    """Records one session, and echoes it if ``echo`` is set."""

    def __init__(
        self,
        recording: Recording,
        request: Request,
        *,
        echo: bool,
        offered: list[str] | None,
        selected: str | None,
    ) -> None:
        super().__init__()
        self._recording = recording
        self._request = request
        self._echo = echo
        self._offered = offered
        self._selected = selected
        self._number = 0
        self._streams: dict[int, int] = {}
        self._stored = 0

    def _add(self, event: str, **members: Json) -> None:
        self._recording.add(event, self._number, **members)

    def started(self, session: Session) -> None:
        """Record the request."""
        super().started(session)
        self._number = self._recording.sessions
        self._recording.sessions += 1
        request = self._request
        origin = request.first(b"origin")
        offered: Json = None if self._offered is None else list(self._offered)
        headers: list[Json] = [
            [name.decode("utf-8", "replace"), value.decode("utf-8", "replace")]
            for name, value in request.fields
            if not name.startswith(b":")
        ]
        self._add(
            "session",
            protocol=request.text(b":protocol"),
            authority=request.text(b":authority"),
            path=request.text(b":path"),
            origin=None if origin is None else origin.decode("utf-8", "replace"),
            headers=headers,
            offered_protocols=offered,
            selected_protocol=self._selected,
        )

    def _number_of(self, stream: WtStream) -> int:
        return self._streams.setdefault(stream.id, len(self._streams))

    def stream_opened(self, stream: WtStream) -> None:
        """Record a new stream."""
        super().stream_opened(stream)
        initiator = "client" if stream.from_client else "server"
        self._add("stream", stream=self._number_of(stream), kind=stream.kind, initiator=initiator)

    def _data(self, data: bytes) -> dict[str, Json]:
        self._stored += len(data)
        return {"length": len(data), **({"data": data.hex()} if self._stored <= MAX_DATA else {})}

    def stream_data(self, stream: WtStream, data: bytes) -> None:
        """Record bytes."""
        self._add("data", stream=self._number_of(stream), **self._data(data))
        if self._echo:
            super().stream_data(stream, data)

    def stream_end(self, stream: WtStream) -> None:
        """Record an end."""
        self._add("fin", stream=self._number_of(stream))
        if self._echo:
            super().stream_end(stream)

    def stream_reset(self, stream: WtStream, code: int | None) -> None:
        """Record a reset."""
        self._add("reset", stream=self._number_of(stream), code=code)
        if self._echo:
            super().stream_reset(stream, code)

    def stream_stop(self, stream: WtStream, code: int | None) -> None:
        """Record that the client stopped reading."""
        self._add("stop", stream=self._number_of(stream), code=code)
        if self._echo:
            super().stream_stop(stream, code)

    def datagram(self, payload: bytes) -> None:
        """Record a datagram."""
        self._add("datagram", **self._data(payload))
        if self._echo:
            super().datagram(payload)

    def draining(self) -> None:
        """Record the announcement of a shutdown."""
        self._add("draining")

    def closed(self, code: int | None, reason: str | None, *, clean: bool) -> None:
        """Record the end."""
        self._add("closed", code=code, reason=reason, clean=clean)


class Reading(Echo):
    """Answers query streams with the records of an id."""

    def __init__(self, recordings: Recordings, name: str) -> None:
        super().__init__()
        self.answer = lambda: recordings.lines(name)
