"""Deviants of data streams and datagrams: headers, bodies, resets and their codes."""

from __future__ import annotations

from collections.abc import Callable

from conformance.deviants.definition import deviant, override
from conformance.peer.codepoints import H3
from conformance.peer.datagrams import datagram
from conformance.peer.drafts import Draft, DraftFacts
from conformance.peer.errorcodes import FIRST, LAST
from conformance.peer.model import Behaviour
from conformance.peer.model.engine import Connection
from conformance.peer.model.streams import WtStream
from conformance.peer.varint import varint

SINCE_14 = (Draft.D16, Draft.D14)
SINCE_07 = (Draft.D16, Draft.D14, Draft.D07)
# Seconds; behind the packet with SETTINGS.
SHORTLY = 0.01


# --- bodies ---


@deviant("streams.uni-as-text", "WT-4.2-05", "OV-4.3-04")
def uni_as_text(behaviour: Behaviour) -> None:
    """Drops bytes that are no text from unidirectional streams (draft-16 §4.2)."""

    def body(_original: object, stream: WtStream, data: bytes) -> bytes:
        return data.replace(b"\xff", b"") if stream.unidirectional else data

    override(behaviour, "body", body)


@deviant("streams.bidi-as-text", "WT-4.3-05", "WT-4.3-15")
def bidi_as_text(behaviour: Behaviour) -> None:
    """Drops bytes that are no text from bidirectional streams (draft-16 §4.3)."""

    def body(_original: object, stream: WtStream, data: bytes) -> bytes:
        return data if stream.unidirectional else data.replace(b"\xff", b"")

    override(behaviour, "body", body)


@deviant("streams.body-parsed", "WT-4.3-15")
def body_parsed(behaviour: Behaviour) -> None:
    """Takes a SETTINGS frame out of the body of a bidirectional stream (draft-16 §4.3)."""

    def body(_original: object, stream: WtStream, data: bytes) -> bytes:
        if not stream.unidirectional and data.startswith(b"\x04\x02\x33"):
            stream.connection.close(int(H3.FRAME_UNEXPECTED), "SETTINGS on a request stream")
        return data

    override(behaviour, "body", body)


@deviant("streams.answer-with-header", "WT-4.3-04")
def answer_with_header(behaviour: Behaviour) -> None:
    """Puts a header in front of what it sends on a client's bidirectional stream (draft-16 §4.3)."""

    def body(_original: object, stream: WtStream, data: bytes) -> bytes:
        first = not stream.unidirectional and stream.received == len(data) and len(data) > 1000
        return b"\x40\x41\x00" + data if first else data

    override(behaviour, "body", body)


@deviant("streams.never-finished", "WT-4.3-14")
def never_finished(behaviour: Behaviour) -> None:
    """Does not finish its direction of a large bidirectional stream (RFC 9000 §3)."""
    override(behaviour, "ends_after_client", lambda _original, stream: stream.received < 20_000)


@deviant("streams.early-bidi", "WT-4.3-03")
def early_bidi(behaviour: Behaviour) -> None:
    """Opens a bidirectional stream before any session is requested (draft-16 §4.3)."""

    def connected(_original: object, connection: Connection) -> None:
        stream_id = connection.quic.next_stream_id(unidirectional=False)
        connection.send(stream_id, varint(0x41, 2) + varint(0))

    override(behaviour, "connected", connected)


@deviant("streams.header-of-first-session", "WT-4-05", "WT-4-15", drafts=SINCE_14)
def header_of_first_session(behaviour: Behaviour) -> None:
    """Names the first session on every stream that it opens (draft-16 §4)."""

    def header(original: Callable[..., bytes], _session_id: int, *, unidirectional: bool) -> bytes:
        return original(0, unidirectional=unidirectional)

    override(behaviour, "stream_header", header)


# --- buffering ---


@deviant("streams.early-dropped", "WT-4.6-02", "WT-4.6-08", "WT-4-02", "WT-4.6-04", "WT-4.6-09")
def early_dropped(behaviour: Behaviour) -> None:
    """Silently drops streams that arrive before their session is accepted (draft-16 §4.6)."""
    behaviour.max_buffered_streams = 0
    behaviour.accept_delay = 0.02
    behaviour.rules.skip("stream-buffer-full")


@deviant("streams.buffer-code", "WT-4.6-05")
def buffer_code(behaviour: Behaviour) -> None:
    """Rejects streams over its buffer with another code than WT_BUFFERED_STREAM_REJECTED (draft-16 §4.6)."""
    behaviour.rules.code("stream-buffer-full", int(H3.REQUEST_REJECTED))


# --- error codes ---

_MAPPING = ("WT-4.4-02",)
_INVERSE = ("WT-4.4-04", "WT-4.4-05")


@deviant("codes.gaps-ignored", *_MAPPING)
def gaps_ignored(behaviour: Behaviour) -> None:
    """Does not skip the reserved code points when it maps application codes (draft-16 §4.4)."""
    override(behaviour, "map_error_code", lambda _original, code: FIRST + code)


@deviant("codes.raw", *_MAPPING)
def codes_raw(behaviour: Behaviour) -> None:
    """Sends application codes as they are (draft-16 §4.4)."""
    override(behaviour, "map_error_code", lambda _original, code: code)


@deviant("codes.not-inverted", *_INVERSE)
def not_inverted(behaviour: Behaviour) -> None:
    """Shows received codes to the application without the inverse mapping (draft-16 §4.4)."""

    def unmap(original: Callable[..., int | None], code: int, facts: DraftFacts) -> int | None:
        return None if original(code, facts) is None else code & 0xFFFFFFFF

    override(behaviour, "unmap_error_code", unmap)


@deviant("codes.always-some", "WT-4.4-08", kill="changed")
def always_some(behaviour: Behaviour) -> None:
    """Shows a reset outside of the range with the application code 0 (draft-16 §4.4)."""

    def unmap(original: Callable[..., int | None], code: int, facts: DraftFacts) -> int | None:
        return original(code, facts) if FIRST <= code <= LAST else 0

    override(behaviour, "unmap_error_code", unmap)


@deviant("streams.plain-reset", "WT-4.4-03", drafts=SINCE_14)
def plain_reset(behaviour: Behaviour) -> None:
    """Resets its own streams with RESET_STREAM, so that the header may be lost (draft-16 §4.4)."""
    override(behaviour, "reliable_size", lambda _original, _length, _facts: None)


@deviant("streams.reset-swallowed", "WT-4.4-01", "WT-4.4-02", drafts=SINCE_07)
def reset_swallowed(behaviour: Behaviour) -> None:
    """Sends the largest code for every reset (draft-16 §4.4)."""
    override(behaviour, "map_error_code", lambda _original, _code: LAST)


# --- the end of a session ---


@deviant("streams.not-reset", "WT-6-01", "WT-9-01", drafts=SINCE_07)
def not_reset(behaviour: Behaviour) -> None:
    """Does not reset its side of the streams of an ended session (draft-16 §6)."""
    override(behaviour, "resets_on_session_end", lambda _original, _session: False)


@deviant("streams.not-stopped", "WT-6-02", drafts=SINCE_07)
def not_stopped(behaviour: Behaviour) -> None:
    """Does not stop reading the streams of an ended session (draft-16 §6)."""
    override(behaviour, "stops_on_session_end", lambda _original, _session: False)


@deviant("streams.gone-code", "WT-6-01", "WT-6-02", "WT-9-01", "WT-6-07", kill="non_strict", drafts=SINCE_07)
def gone_code(behaviour: Behaviour) -> None:
    """Gives up the streams of an ended session with H3_REQUEST_CANCELLED (draft-16 §6)."""
    override(behaviour, "session_gone_code", lambda _original, _facts: int(H3.REQUEST_CANCELLED))


@deviant("sessions.sends-after-end", "WT-6-03", "WT-6-04", "HD-2.1-03")
def sends_after_end(behaviour: Behaviour) -> None:
    """Goes on sending datagrams after the end of the session (draft-16 §6)."""
    override(behaviour, "may_send", lambda _original, _session: True)


# --- datagrams ---


@deviant("datagrams.as-text", "WT-4.5-01", "WT-4.5-02")
def datagrams_as_text(behaviour: Behaviour) -> None:
    """Drops bytes that are no text from datagrams (draft-16 §4.5)."""
    override(behaviour, "datagram_payload", lambda _original, payload: payload.replace(b"\xff", b""))


@deviant("datagrams.whole-id", "WT-4.5-03", "WT-4.5-05", drafts=SINCE_14)
def whole_id(behaviour: Behaviour) -> None:
    """Sends the session ID instead of its quarter (RFC 9297 §2.1)."""
    override(behaviour, "datagram", lambda _original, session_id, payload: datagram(4 * session_id, payload))


@deviant("datagrams.to-everyone", "QD-3-01", drafts=SINCE_07)
def to_everyone(behaviour: Behaviour) -> None:
    """Sends a DATAGRAM frame to clients that cannot receive one (RFC 9221 §3)."""

    def connected(_original: object, connection: Connection) -> None:
        if 0x20 not in connection.quic.peer_transport_parameters:
            greeting = datagram(0, b"hello")
            connection.server.schedule(SHORTLY, lambda: connection.quic.send_datagram(greeting))

    override(behaviour, "connected", connected)
