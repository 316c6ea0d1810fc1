"""WebTransport data streams of the model server (draft-16 §4.2 to §4.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from conformance.peer.codepoints import H3
from conformance.peer.model.receivers import DISCARD
from conformance.peer.varint import read_varint, varint
from conformance.peer.wtheaders import is_client_bidi, is_server_initiated, is_unidirectional

if TYPE_CHECKING:
    from conformance.peer.model.engine import Connection
    from conformance.peer.model.sessions import Session

# WT_STREAM takes two bytes in its shortest encoding (RFC 9000 §16).
SIGNAL_LENGTH: Final = 2
MANY_RESETS: Final = 10


class IncomingHeader:
    """A client's stream behind its type or signal, before the session ID is complete."""

    def __init__(self, connection: Connection, stream_id: int, header_length: int) -> None:
        self._connection = connection
        self._id = stream_id
        self._header_length = header_length
        self._buffer = bytearray()

    def data(self, data: bytes) -> None:
        """Collect the session ID, then hand over to the stream."""
        connection = self._connection
        uni = is_unidirectional(self._id)
        self._buffer += data
        session_id = read_varint(self._buffer)
        if session_id is None:
            return
        long = not uni and self._header_length > SIGNAL_LENGTH
        if long and connection.objects("bidi-signal-long", self._id):
            return
        long = session_id[1] > len(varint(session_id[0]))
        if long and connection.objects("session-id-long", self._id):
            return
        rule = "uni-session-id" if uni else "bidi-session-id"
        if not is_client_bidi(session_id[0]) and connection.violate(rule, self._id):
            return
        stream = WtStream(connection, self._id, self._header_length + session_id[1])
        connection.receivers[self._id] = stream
        connection.sessions.stream_arrived(stream, session_id[0])
        rest = bytes(self._buffer[session_id[1] :])
        if rest:
            connection.receivers[self._id].data(rest)

    def end(self) -> None:
        """Take a FIN inside of the header (draft-16 leaves the reaction open)."""
        uni = is_unidirectional(self._id)
        self._connection.violate("uni-header-truncated" if uni else "bidi-header-truncated", self._id)

    def reset(self, code: int, final_size: int) -> None:
        """Tolerate a reset inside of the header (RFC 9114 §6.2)."""
        if not is_unidirectional(self._id) and not self._connection.objects("bidi-header-reset", self._id):
            self._connection.reset(self._id, H3.REQUEST_CANCELLED)

    def stop(self, code: int) -> None:
        """Do nothing: QUIC has reset this side."""


class WtStream:
    """One data stream, of either side. The application writes, resets and stops; the engine reads.

    Until the stream is associated with a session, what arrives is kept (draft-16 §4.6).
    """

    def __init__(self, connection: Connection, stream_id: int, header_length: int) -> None:
        self.connection = connection
        self.id = stream_id
        self.header_length = header_length
        self.session: Session | None = None
        self.unidirectional = is_unidirectional(stream_id)
        self.from_client = not is_server_initiated(stream_id)
        self.received = 0
        self.can_receive = self.from_client or not self.unidirectional
        self.can_send = not self.from_client or not self.unidirectional
        self._early: list[Callable[[], None]] = []
        self._early_bytes = 0
        self._unsent = bytearray()
        self._unsent_end = False

    @property
    def kind(self) -> str:
        """``uni`` or ``bidi``."""
        return "uni" if self.unidirectional else "bidi"

    # --- the receiver ---

    def data(self, data: bytes) -> None:
        """Take body bytes."""
        if self.session is None:
            self._early_bytes += len(data)
            if self._early_bytes > self.connection.behaviour.max_buffered_bytes and self.connection.violate(
                "stream-buffer-full", self.id
            ):
                self.connection.sessions.forget_buffered(self)
                return
            self._early.append(lambda: self.data(data))
            return
        if not self.can_receive or not self._count(len(data)):
            return
        self.session.app.stream_data(self, self.connection.behaviour.body(self, data))
        self.session.flow.release("data", len(data))

    def end(self) -> None:
        """Take the FIN."""
        if self.session is None:
            self._early.append(self.end)
        elif self.can_receive:
            self.can_receive = False
            self.session.app.stream_end(self)
            self._check_closed()

    def reset(self, code: int, final_size: int) -> None:
        """Take a reset: the final size tells what flow control it used (draft-16 §5.4)."""
        if self.session is None:
            self._early.append(lambda: self.reset(code, final_size))
            return
        if not self.can_receive:
            return
        rest = max(0, final_size - self.header_length - self.received)
        if not self._count(rest):
            return
        self.session.flow.release("data", rest)
        self.can_receive = False
        self.session.resets += 1
        many = self.session.resets >= MANY_RESETS
        if many and self.connection.objects("stream-reset-tenth", self.session.id):
            return
        application_code = self._application_code(code)
        if application_code is None and self.connection.objects("stream-code-unmapped", self.id):
            return
        self.session.app.stream_reset(self, application_code)
        self._check_closed()

    def stop(self, code: int) -> None:
        """Take STOP_SENDING."""
        if self.session is None:
            self.can_send = False
            return
        if self.can_send:
            self._end_sending()
            self.session.app.stream_stop(self, self._application_code(code))
            self._check_closed()

    def stop_answer(self, code: int) -> int:
        """Return the code of the reset that answers STOP_SENDING (RFC 9000 §3.5)."""
        if self.session is None:
            return code
        answer = self.session.app.stop_answer(self, self._application_code(code))
        return code if answer is None else self.connection.behaviour.map_error_code(answer)

    def associate(self, session: Session) -> None:
        """Join a session: what was kept is delivered."""
        self.session = session
        early, self._early = self._early, []
        for action in early:
            if session.open and not self.connection.closing:
                action()

    def _count(self, length: int) -> bool:
        assert self.session is not None
        self.received += length
        if self.session.flow.receive("data", length):
            return True
        return not self.connection.violate("data-exceeded", self.session.id)

    def _application_code(self, code: int) -> int | None:
        facts = self.connection.facts
        return None if facts is None else self.connection.behaviour.unmap_error_code(code, facts)

    # --- the application ---

    def write(self, data: bytes, *, end: bool = False) -> None:
        """Send body bytes, as far as the client's session limit allows; the rest waits for credit."""
        if self.can_send and not self._unsent_end:
            self._unsent += data
            self._unsent_end = end
            self.flush()

    def flush(self) -> None:
        """Send what the limit allows now."""
        if self.session is None or not self.can_send:
            return
        count = self.session.flow.take("data", len(self._unsent))
        portion = bytes(self._unsent[:count])
        del self._unsent[:count]
        done = self._unsent_end and not self._unsent
        if portion or done:
            self.connection.send(self.id, portion, end=done)
            self.session.app.sent(len(portion))
        if self._unsent:
            self.session.blocked_streams[self.id] = self
            self.session.flow.blocked("data")
        elif done:
            self.can_send = False
            self._check_closed()

    def abort(self, application_code: int) -> None:
        """Reset the send part with an application code (draft-16 §4.4)."""
        if self.can_send:
            self.reset_raw(self.connection.behaviour.map_error_code(application_code))
            self._check_closed()

    def stop_reading(self, application_code: int) -> None:
        """Stop reading with an application code (draft-16 §4.4)."""
        if self.can_receive:
            self.connection.stop(self.id, self.connection.behaviour.map_error_code(application_code))

    def reset_raw(self, code: int) -> None:
        """Reset the send part with an HTTP/3 code; an own header is delivered all the same."""
        facts = self.connection.facts
        header = 0 if self.from_client else self.header_length
        reliable = None if facts is None else self.connection.behaviour.reliable_size(header, facts)
        self._end_sending()
        self.connection.reset(self.id, code, reliable_size=reliable)

    def session_ended(self, code: int) -> None:
        """End both directions, as far as they are open (draft-16 §6)."""
        assert self.session is not None
        behaviour = self.connection.behaviour
        if self.can_send and behaviour.resets_on_session_end(self.session):
            self.reset_raw(code)
        if self.can_receive and behaviour.stops_on_session_end(self.session):
            self.connection.stop(self.id, code)
        self.can_send = self.can_receive = False
        self.connection.receivers[self.id] = DISCARD

    def _end_sending(self) -> None:
        self.can_send = False
        self._unsent.clear()
        if self.session is not None:
            self.session.blocked_streams.pop(self.id, None)

    def _check_closed(self) -> None:
        if self.session is not None and not self.can_send and not self.can_receive:
            self.session.stream_closed(self)
