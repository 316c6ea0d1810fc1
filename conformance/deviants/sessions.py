"""Deviants of sessions: from the request to the end."""

from __future__ import annotations

from typing import Final

from conformance.deviants.definition import deviant, override
from conformance.peer.codepoints import H3
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.model.engine import Connection
from conformance.peer.model.sessions import Session

SINCE_14 = (Draft.D16, Draft.D14)
SINCE_07 = (Draft.D16, Draft.D14, Draft.D07)
# Seconds; longer than a case takes that has anything to do, shorter than one waits that has not.
SILENCE: Final = 0.3
SHORTLY: Final = 0.03


# --- requests ---


@deviant("request.plain-connect", "H3-4.4-03", "XC-06", "XC-01", "WT-2.1-04")
def plain_connect(behaviour: Behaviour) -> None:
    """Takes a CONNECT without :protocol for a session request (RFC 9114 §4.4)."""
    for name in ("connect-with-scheme-or-path", "connect-unsupported", "protocol-unsupported"):
        behaviour.rules.skip(name)


@deviant("request.empty-path", "H3-4.3.1-02", "WT-3.2-06", "WT-3.2-05")
def empty_path(behaviour: Behaviour) -> None:
    """Takes an empty :path for that of its endpoint (RFC 9114 §4.3.1)."""
    behaviour.rules.skip("path-empty")
    override(behaviour, "resource", lambda _original, path: path or "/echo")


@deviant("request.missing-path", "XC-05", "H3-4.3.1-01", "H3-4.1.2-01")
def missing_path(behaviour: Behaviour) -> None:
    """Takes a missing :path for that of its endpoint (RFC 8441 §4)."""
    behaviour.rules.skip("pseudo-missing")
    override(behaviour, "resource", lambda _original, path: path or "/echo")


@deviant("request.transfer-encoding", "H3-4.2-02", "H3-4.1.2-01", "HD-3.2-04")
def transfer_encoding(behaviour: Behaviour) -> None:
    """Accepts requests with Transfer-Encoding (RFC 9114 §4.2)."""
    behaviour.rules.skip("field-connection-specific")
    behaviour.rules.skip("capsule-content-field")


@deviant("request.early-capsules", "WT-3.2-21", "WT-3.2-23", "H3-10-02")
def early_capsules(behaviour: Behaviour) -> None:
    """Gives up requests that are followed by capsules before the response (draft-16 §3.2)."""
    behaviour.max_early_bytes = 0
    behaviour.accept_delay = 0.02


_BUFFERED = ("WT-4.6-02", "WT-4.6-05", "WT-4.6-08", "WT-4.6-09", "WT-4-14")


@deviant("request.optimistic-streams", "WT-4-01", "WT-4-02", *_BUFFERED)
def optimistic_streams(behaviour: Behaviour) -> None:
    """Rejects streams that overtake the acceptance of their session, with a code of its own (draft-16 §4)."""
    behaviour.max_buffered_streams = 0
    behaviour.accept_delay = 0.02
    behaviour.rules.code("stream-buffer-full", int(H3.REQUEST_REJECTED))


# --- the end ---

# Rows whose cases see by the answer to a close that capsules are still understood.
_SHOWN_BY_CLOSE = ("HD-3.2-01", "HD-3.2-02", "HD-3.2-03", "WT-3.2-23")


@deviant("close.unanswered", "WT-6-18", "WT-6-08", *_SHOWN_BY_CLOSE)
def close_unanswered(behaviour: Behaviour) -> None:
    """Leaves its side of the CONNECT stream open when the client closed the session (draft-16 §6)."""
    override(behaviour, "answers_close", lambda _original: False)


@deviant("close.code-dropped", "WT-6-26", "OV-4.1-02")
def code_dropped(behaviour: Behaviour) -> None:
    """Shows the code of a close to the application with 16 bits (draft-16 §6)."""
    override(behaviour, "reported_close", lambda _original, code, reason: (code & 0xFFFF, reason))


@deviant("close.default-code", "WT-6-21")
def default_code(behaviour: Behaviour) -> None:
    """Shows the application the code 1 where the client gave none (draft-16 §6)."""
    override(behaviour, "reported_close", lambda _original, code, reason: (code or 1, reason))


# Rows whose cases go on behind the end of a session.
_AFTER_END = ("WT-4-11", "WT-6-24", "WT-6-25", "HD-2.1-04", "WT-5.1-06")


@deviant("close.takes-connection", "WT-6-23", "WT-6-07", "WT-6-20", *_AFTER_END)
def takes_connection(behaviour: Behaviour) -> None:
    """Closes the connection shortly after a session has ended (draft-16 §6)."""

    def over(_original: object, connection: Connection) -> None:
        connection.server.schedule(SHORTLY, lambda: connection.close(int(H3.INTERNAL_ERROR)))

    override(behaviour, "session_over", over)


@deviant("sessions.impatient", "H3-4.4-02", "QPK-4.5-02")
def impatient(behaviour: Behaviour) -> None:
    """Ends a session in which nothing happens for a while (RFC 9114 §4.4)."""

    def accepted(_original: object, session: Session) -> None:
        def look() -> None:
            if not session.streams and not session.connection.closing:
                session.finish()

        session.connection.server.schedule(SILENCE, look)

    override(behaviour, "session_accepted", accepted)


@deviant("close.little-endian", "WT-6-09", "OV-4.1-02")
def little_endian(behaviour: Behaviour) -> None:
    """Sends the code of a close in the wrong byte order (draft-16 §6)."""

    def capsule(_original: object, code: int, message: str) -> bytes:
        value = code.to_bytes(4, "little") + behaviour.close_message(message)
        return b"\x68\x43" + _length(len(value)) + value

    override(behaviour, "close_capsule", capsule)


def _length(value: int) -> bytes:
    return (value | 0x4000).to_bytes(2, "big")


@deviant("close.no-fin", "WT-6-16")
def no_fin(behaviour: Behaviour) -> None:
    """Does not finish the CONNECT stream behind its own close (draft-16 §6)."""
    override(behaviour, "finishes_after_close", lambda _original: False)


@deviant("close.stop-code", "WT-6-17", drafts=SINCE_14)
def stop_code(behaviour: Behaviour) -> None:
    """Stops reading behind its own close with another code than WT_SESSION_GONE (draft-16 §6)."""
    override(behaviour, "stops_after_close", lambda _original: int(H3.NO_ERROR))


@deviant("close.message-too-long", "WT-6-10")
def message_too_long(behaviour: Behaviour) -> None:
    """Sends close messages of more than 1024 bytes (draft-16 §6)."""
    override(behaviour, "close_message", lambda _original, message: message.encode())


@deviant("close.message-cut", "WT-6-11")
def message_cut(behaviour: Behaviour) -> None:
    """Cuts a close message in the middle of a character (draft-16 §6)."""
    override(behaviour, "close_message", lambda _original, message: message.encode()[:1024])
