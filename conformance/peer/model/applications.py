"""The applications behind the endpoints of docs/endpoints.md, except for ``observe`` (recording.py)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from conformance.peer.model.application import Application
from conformance.peer.model.parameters import MAX_BYTES, MAX_CODE, Parameters

if TYPE_CHECKING:
    from conformance.peer.model.sessions import Session
    from conformance.peer.model.streams import WtStream


def pattern(length: int) -> bytes:
    """Return made-up bytes: byte(i) = i mod 251."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]


class Echo(Application):
    """``echo``; ``answer`` makes the first-empty bidirectional streams query streams."""

    answer: Callable[[], str] | None = None

    def __init__(self) -> None:
        # Client's unidirectional stream -> the one that goes back; what is early waits in ``_late``.
        self._back: dict[int, WtStream] = {}
        self._late: dict[int, list[Callable[[WtStream], None]]] = {}
        self.counts = dict.fromkeys(
            (
                "streams_uni_received",
                "streams_bidi_received",
                "bytes_received",
                "bytes_sent",
                "datagrams_received",
                "datagrams_sent",
            ),
            0,
        )

    def stream_opened(self, stream: WtStream) -> None:
        """Count the stream."""
        self.counts[f"streams_{stream.kind}_received"] += 1

    def stream_data(self, stream: WtStream, data: bytes) -> None:
        """Send the bytes back."""
        self.counts["bytes_received"] += len(data)
        self._on_returning(stream, lambda back: back.write(data))

    def stream_end(self, stream: WtStream) -> None:
        """Finish the returning direction, or answer a question."""
        question = self.answer is not None and not stream.unidirectional and stream.from_client
        if question and not stream.received and self.answer is not None:
            stream.write(self.answer().encode(), end=True)
            return
        connection = self.session.connection
        if not stream.received and connection.objects("stream-empty", self.session.id):
            return
        if stream.unidirectional or connection.behaviour.ends_after_client(stream):
            self._on_returning(stream, lambda back: back.write(b"", end=True))

    def stream_reset(self, stream: WtStream, code: int | None) -> None:
        """Reset the returning direction with the same code."""
        self._on_returning(stream, lambda back: back.abort(code or 0))

    def stream_stop(self, stream: WtStream, code: int | None) -> None:
        """Stop reading what can no longer be returned."""
        if not stream.unidirectional:
            stream.stop_reading(code or 0)

    def sent(self, length: int) -> None:
        """Count body bytes."""
        self.counts["bytes_sent"] += length

    def datagram(self, payload: bytes) -> None:
        """Send the datagram back."""
        self.counts["datagrams_received"] += 1
        if self.session.send_datagram(payload):
            self.counts["datagrams_sent"] += 1

    def _on_returning(self, stream: WtStream, action: Callable[[WtStream], None]) -> None:
        """Act on the direction that carries the echo; a unidirectional one is opened first."""
        if not stream.from_client:
            return
        if not stream.unidirectional:
            action(stream)
        elif stream.id in self._back:
            action(self._back[stream.id])
        elif stream.id in self._late:
            self._late[stream.id].append(action)
        else:
            self._late[stream.id] = [action]
            self.session.open_stream(unidirectional=True, ready=lambda back: self._ready(stream, back))

    def _ready(self, stream: WtStream, back: WtStream) -> None:
        self._back[stream.id] = back
        for action in self._late.pop(stream.id, []):
            action(back)


class Answering(Echo):
    """Echoes, and answers query streams with what ``answer`` returns."""

    def __init__(self, answer: Callable[[Answering], object]) -> None:
        super().__init__()
        self.answer = lambda: json.dumps(answer(self))


class Closing(Echo):
    """``close``: echoes, then ends the session."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self._code = parameters.number("code", most=MAX_CODE)
        self._reason = (parameters.text("reason", "") or "") * parameters.number("repeat", 1, most=65536)
        self._reason = self._reason[:MAX_BYTES]
        self._after = parameters.seconds("after_ms")
        self._on_stream = parameters.text("on") == "stream"
        self._open = {True: parameters.number("uni"), False: parameters.number("bidi")}
        self._fin = parameters.flag("fin")
        self._connection = parameters.flag("connection")

    def started(self, session: Session) -> None:
        """Open the streams that are to be there, and set the time."""
        super().started(session)
        for unidirectional, count in self._open.items():
            for _ in range(count):
                session.open_stream(
                    unidirectional=unidirectional, ready=lambda stream: stream.write(pattern(16))
                )
        if not self._on_stream:
            session.connection.server.schedule(self._after, self._end)

    def stream_data(self, stream: WtStream, data: bytes) -> None:
        """Echo; the first byte may be the sign to close."""
        super().stream_data(stream, data)
        self._sign()

    def stream_end(self, stream: WtStream) -> None:
        """Echo; an end may be the sign to close."""
        super().stream_end(stream)
        self._sign()

    def _sign(self) -> None:
        if self._on_stream:
            self._on_stream = False
            self.session.connection.server.schedule(self._after, self._end)

    def _end(self) -> None:
        if self._fin:
            self.session.finish()
        else:
            self.session.close(self._code, self._reason)
        if self._connection:
            self.session.connection.shut_down()


class Draining(Echo):
    """``drain``: echoes, and announces the shutdown."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self._after = parameters.seconds("after_ms")
        self._goaway = parameters.flag("goaway")

    def started(self, session: Session) -> None:
        """Set the time."""
        super().started(session)
        action = session.connection.go_away if self._goaway else session.drain
        session.connection.server.schedule(self._after, action)


class Pushing(Echo):
    """``push``: opens streams and sends datagrams."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self._streams = {True: parameters.number("uni"), False: parameters.number("bidi")}
        self._bytes = parameters.number("bytes", 16, most=MAX_BYTES)
        self._fin = parameters.flag("fin", default=True)
        self._datagrams = parameters.number("datagrams")
        self._datagram = pattern(parameters.number("datagram_bytes", 16, most=65536))
        self._interval = parameters.seconds("interval_ms")
        self._after = parameters.seconds("after_ms")

    def started(self, session: Session) -> None:
        """Set the time."""
        super().started(session)
        session.connection.server.after(self._after, self._push)

    def _push(self) -> None:
        if not self.session.open:
            return
        for unidirectional, count in self._streams.items():
            for _ in range(count):
                self.session.open_stream(unidirectional=unidirectional, ready=self._write)
        self._send_datagrams(self._datagrams)

    def _write(self, stream: WtStream) -> None:
        stream.write(pattern(self._bytes), end=self._fin)

    def _send_datagrams(self, count: int) -> None:
        batch = min(count, 1) if self._interval else count
        for _ in range(batch):
            if self.session.send_datagram(self._datagram):
                self.counts["datagrams_sent"] += 1
        if count > batch:
            server = self.session.connection.server
            server.schedule(self._interval, lambda: self._send_datagrams(count - batch))


class Resetting(Echo):
    """``reset``: resets its own streams and those of the client."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__()
        self._code = parameters.number("code", most=MAX_CODE)
        self._streams = {True: parameters.number("uni"), False: parameters.number("bidi")}
        self._bytes = parameters.number("bytes", 16, most=MAX_BYTES)
        self._stop = parameters.flag("stop")
        self._done: set[int] = set()

    def started(self, session: Session) -> None:
        """Open and reset the server's streams."""
        super().started(session)
        for unidirectional, count in self._streams.items():
            for _ in range(count):
                session.open_stream(unidirectional=unidirectional, ready=self._reset_own)

    def _reset_own(self, stream: WtStream) -> None:
        stream.write(pattern(self._bytes))
        # The bytes shall have a chance to leave before the reset.
        server = self.session.connection.server
        server.schedule(self.session.connection.behaviour.credit_delay, lambda: self._reset(stream))

    def _reset(self, stream: WtStream) -> None:
        if stream.id in self._done:
            return
        self._done.add(stream.id)
        if stream.unidirectional and stream.from_client:
            stream.stop_reading(self._code)
            return
        if self._stop and not stream.unidirectional:
            stream.stop_reading(self._code)
        stream.abort(self._code)

    def stream_data(self, stream: WtStream, data: bytes) -> None:
        """Reset a stream of the client at its first byte."""
        self.counts["bytes_received"] += len(data)
        if stream.from_client:
            self._reset(stream)

    def stream_end(self, stream: WtStream) -> None:
        """Reset a bidirectional stream of the client at its end."""
        if stream.from_client and not stream.unidirectional:
            self._reset(stream)

    def stream_reset(self, stream: WtStream, code: int | None) -> None:
        """Finish what the client gave up."""
        if stream.from_client and not stream.unidirectional:
            self._reset(stream)
