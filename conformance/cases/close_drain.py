"""End of a session: close, drain and what becomes of its streams (draft-16 §4.7, §6)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, case
from conformance.harness.run import Run
from conformance.harness.target import Unsupported
from conformance.peer.capsules import close_value
from conformance.peer.codepoints import H3, WT, CapsuleType
from conformance.peer.h3frames import data_frame
from conformance.peer.session import Session
from conformance.peer.wtheaders import bidi_header, uni_header


@case(
    "close-drain.by-capsule",
    "WT-6-18",
    "WT-6-08",
    witness="draft-16 §6: the recipient MUST either close or reset the stream",
)
def by_capsule(run: Run) -> None:
    """A close capsule followed by FIN is answered by the end of the target's direction.

    draft-16 §6 (-02 §5: upon receiving the FIN).
    """
    session = run.establish()
    session.close(7, b"bye")
    run.expect("WT-6-18", "session-closed", session=session)


@case(
    "close-drain.by-fin", "WT-6-05", witness="draft-16 §6: the CONNECT stream is closed, cleanly or abruptly"
)
def by_fin(run: Run) -> None:
    """The FIN of the CONNECT stream ends the session without a capsule.

    draft-16 §6.
    """
    session = run.establish()
    session.finish()
    run.expect("WT-6-05", "session-closed", session=session)


@case(
    "close-drain.by-reset",
    "WT-6-06",
    witness="draft-16 §6: the CONNECT stream is closed, cleanly or abruptly",
    version=2,
)
def by_reset(run: Run) -> None:
    """A reset of the CONNECT stream ends the session.

    draft-16 §6. The end of its streams or of the target's side shows it: only a close has to be answered on
    the CONNECT stream itself.
    """
    session = run.establish()
    stream = session.open_bidi(b"open") if run.target.capabilities.echo_bidi else None
    if stream is not None:
        run.peer.wait(lambda: bool(stream.received))
    run.mark()
    session.reset(int(H3.REQUEST_CANCELLED))
    run.expect("WT-6-06", "session-ended", session=session, stream=stream)


@case("close-drain.by-stop", "WT-6-07", witness="AMB-24")
def by_stop(run: Run) -> None:
    """STOP_SENDING on the CONNECT stream makes the target reset its direction.

    RFC 9000 §3.5, draft-16 §6; whether it ends the session by itself is open, so it is recorded only.
    """
    session = run.establish()
    session.stop(int(H3.REQUEST_CANCELLED))
    run.expect("WT-6-07", "any", session=session)


@case(
    "close-drain.streams-reset",
    "WT-6-01",
    drafts=SINCE_07,
    variants={"capsule": "capsule", "fin": "fin", "reset": "reset"},
    witness="draft-16 §6: MUST reset the send side with WT_SESSION_GONE",
)
def streams_reset(run: Run) -> None:
    """When the session ends, the target resets the send side of its open streams with WT_SESSION_GONE.

    draft-16 §6 (-02 §5 names no code). The echo streams are open because the client sent no FIN.
    """
    run.need_echo("bidi")
    session = run.establish()
    streams = [session.open_bidi(b"open") for _ in range(3)]
    run.peer.wait(lambda: all(stream.received for stream in streams))
    run.mark()
    match run.variant:
        case "capsule":
            session.close(0, b"")
        case "fin":
            session.finish()
        case _:
            session.reset(int(H3.REQUEST_CANCELLED))
    run.expect("WT-6-01", "session-gone-reset", streams=streams)


@case(
    "close-drain.streams-stopped",
    "WT-6-02",
    drafts=SINCE_07,
    variants={"bidi": "bidi", "uni": "uni"},
    witness="draft-16 §6: MUST abort reading with WT_SESSION_GONE",
)
def streams_stopped(run: Run) -> None:
    """When the session ends, the target stops reading its open streams with WT_SESSION_GONE.

    draft-16 §6: STOP_SENDING on every stream that the client has not finished.
    """
    run.need_echo(run.variant)
    session = run.establish()
    if run.variant == "bidi":
        streams = [session.open_bidi(b"open") for _ in range(2)]
        run.peer.wait(lambda: all(stream.received for stream in streams))
    else:
        streams = [session.open_uni(b"open") for _ in range(2)]
        run.peer.wait(lambda: len(session.incoming) >= 2 and all(stream.body for stream in session.incoming))
    run.mark()
    session.close(0, b"")
    run.expect("WT-6-02", "session-gone-stop", streams=streams)


@case(
    "close-drain.capsule-without-fin",
    "WT-6-08",
    witness="draft-16 §6: a WT_CLOSE_SESSION capsule is either sent or received",
)
def capsule_without_fin(run: Run) -> None:
    """The close capsule ends the session even before the FIN is seen.

    draft-16 §6 (and -14): receipt of the capsule terminates the session, and the recipient closes or resets
    the stream in response. -07 and -02 let it wait for the FIN.
    """
    session = run.establish()
    session.send_capsule(CapsuleType.WT_CLOSE_SESSION, close_value(1, b"no FIN"))
    older = run.draft.value in ("07", "02")
    run.expect("WT-6-08", "any" if older else "session-closed", session=session)


@case(
    "close-drain.message-too-long",
    "WT-6-12",
    variants={"1025-bytes": 1025, "2000-bytes": 2000},
    negative=True,
    witness="draft-16 §6: exceeds 1024 bytes",
)
def message_too_long(run: Run) -> None:
    """A close message of more than 1024 bytes: the CONNECT stream is reset with H3_MESSAGE_ERROR.

    draft-16 §6; older drafts forbid to send it, but name no reaction. The twin has exactly 1024 bytes.
    """
    session = run.establish()
    length = run.vary(good=1024, bad=run.variant)
    session.send_capsule(CapsuleType.WT_CLOSE_SESSION, close_value(7, b"m" * length), end_stream=True)
    run.expect("WT-6-12", "stream-error", code=int(H3.MESSAGE_ERROR), stream=session, twin="session-closed")


@case(
    "close-drain.message-not-utf8",
    "WT-6-13",
    variants={
        "ff-fe": b"\xff\xfe",
        "overlong": b"\xc0\x80",
        "surrogate": b"\xed\xa0\x80",
        "cut": b"\xe2\x82",
    },
    negative=True,
    witness="RFC 3629 §3: none of these sequences is UTF-8; draft-16 §6",
)
def message_not_utf8(run: Run) -> None:
    """A close message that is not UTF-8: the CONNECT stream is reset with H3_MESSAGE_ERROR.

    draft-16 §6; older drafts name no reaction.
    """
    session = run.establish()
    message = run.vary(good="€é".encode(), bad=run.variant)
    session.send_capsule(CapsuleType.WT_CLOSE_SESSION, close_value(7, message), end_stream=True)
    run.expect("WT-6-13", "stream-error", code=int(H3.MESSAGE_ERROR), stream=session, twin="session-closed")


@case("close-drain.data-behind-close", "WT-6-20", witness="AMB-03")
def data_behind_close(run: Run) -> None:
    """Data behind the close capsule leads to a reset with H3_MESSAGE_ERROR.

    draft-16 §6; the permitted STOP_SENDING and an earlier end of the direction make other outcomes legal,
    so it is recorded only.
    """
    session = run.establish()
    session.send_capsule(CapsuleType.WT_CLOSE_SESSION, close_value(1, b""))
    session.send(data_frame(b"\x17\x00"))
    run.expect("WT-6-20", "any", session=session)


@case(
    "close-drain.late-streams",
    "WT-6-24",
    "WT-4-11",
    variants={"uni": "uni", "bidi": "bidi"},
    witness="draft-16 §4: closed sessions are not invalid session IDs",
    version=3,
)
def late_streams(run: Run) -> None:
    """Streams that arrive late for an ended session are given up; the connection goes on.

    draft-16 §4, §6: no H3_ID_ERROR; the stream is ended with WT_SESSION_GONE.
    """
    session = run.establish()
    session.close(0, b"")
    run.peer.wait(lambda: session.done)
    run.need_connection()
    run.mark()
    if run.variant == "uni":
        stream = run.peer.open_uni(uni_header(session.id) + b"late")
    else:
        stream = run.peer.open_bidi(bidi_header(session.id) + b"late")
    run.expect("WT-4-11", "connection-survives", keep_mark=True)
    run.excuse_close()
    soft = "draft-02 names no code" if run.draft == "02" else None
    run.expect("WT-6-24", "stream-error-only", code=int(WT.SESSION_GONE), stream=stream, soft=soft)


@case(
    "close-drain.connection-survives",
    "WT-6-23",
    witness="draft-16 §6: only the session is terminated",
    version=2,
)
def connection_survives(run: Run) -> None:
    """The end of a session leaves the connection alive: an ordinary request is still answered or refused.

    draft-16 §6. A server may close a connection at any time (RFC 9114 §5.3), so that a close without an
    error is only discouraged.
    """
    session = run.establish()
    session.close(3, b"over")
    run.peer.wait(lambda: session.done)
    if run.peer.closed is None:
        request = run.get(end_stream=True)
        run.peer.wait(lambda: request.answered)
        served = request.answered or request.stop_event is not None
        run.check("WT-6-23", "an ordinary request was answered", "is", True, served, broken="non_strict")
    run.expect("WT-6-23", "connection-survives")


@case(
    "close-drain.nothing-after-end",
    "WT-6-03",
    "WT-6-04",
    "HD-2.1-03",
    needs=("push",),
    witness="draft-16 §6: MUST NOT send",
    version=3,
)
def nothing_after_end(run: Run) -> None:
    """After the end of the session the target sends no datagram and opens no stream.

    draft-16 §6, RFC 9297 §2.1. The application keeps producing datagrams; what was under way is let in.
    """
    session = run.establish(run.endpoint("push", datagrams=500, interval_ms=5))
    run.peer.wait(lambda: len(session.datagrams) >= 3)
    if len(session.datagrams) < 3:
        raise Unsupported("cooperation", "of 500 datagrams of the endpoint push fewer than three came")
    session.close(0, b"")
    run.peer.wait(lambda: session.done)
    run.peer.fence(None)
    run.need_connection()
    datagrams, streams = len(session.datagrams), len(session.incoming)
    run.peer.fence(None)
    run.check("WT-6-03", "datagrams after the end", "==", 0, len(session.datagrams) - datagrams)
    run.check("WT-6-04", "streams opened after the end", "==", 0, len(session.incoming) - streams)


@case(
    "close-drain.drain-keeps-session",
    "WT-4.7-06",
    drafts=SINCE_07,
    witness="draft-16 §4.7: MAY continue using the session",
    version=2,
)
def drain_keeps_session(run: Run) -> None:
    """A drain capsule leaves the session up, or makes the application end it gracefully.

    draft-16 §4.7: both sides may go on using the session and open streams; the application is expected to
    terminate it gracefully as soon as possible (-07 §4.6: SHOULD). No error follows from it.
    """
    session = run.establish()
    session.send_capsule(CapsuleType.WT_DRAIN_SESSION)
    run.expect("WT-4.7-06", "goes-on-or-ends", session=session)


@case("close-drain.drain-twice", "WT-4.7-10", drafts=SINCE_07, witness="draft-16 §4.7 names no error")
def drain_twice(run: Run) -> None:
    """A second drain capsule is not named as an error.

    draft-16 §4.7; recorded only.
    """
    session = run.establish()
    session.send_capsule(CapsuleType.WT_DRAIN_SESSION)
    session.send_capsule(CapsuleType.WT_DRAIN_SESSION)
    run.expect("WT-4.7-10", "any", session=session)


def close_values(run: Run, session: Session) -> list[bytes]:
    """Return the values of the target's close capsules.

    Unsupported where there is none: a message is the application's choice (draft-16 §6).
    """
    values = [item.value for item in session.capsules if item.capsule_type == CapsuleType.WT_CLOSE_SESSION]
    if not values:
        raise Unsupported("cooperation", "the endpoint close ended the session without a close message")
    return values


@case(
    "close-drain.target-closes",
    "WT-6-09",
    "WT-6-16",
    "WT-6-17",
    needs=("close",),
    witness="68 43 07 01 02 03 04 62 79 65: draft-16 §6",
)
def target_closes(run: Run) -> None:
    """A close by the target's application is the capsule 0x2843 with code and message, then FIN at once.

    draft-16 §6: a 32-bit code in network order, the message, and a FIN immediately behind the capsule.
    """
    session = run.establish(run.endpoint("close", code=0x01020304, reason="bye"))
    run.peer.wait(lambda: session.done)
    values = close_values(run, session)
    run.check(
        "WT-6-09", "values of close capsules", "==", ["01020304627965"], [value.hex() for value in values]
    )
    run.check("WT-6-16", "the CONNECT stream ended with FIN", "is", True, session.ended)
    last = session.capsules[-1].capsule_type if session.capsules else None
    run.check("WT-6-16", "last capsule", "==", int(CapsuleType.WT_CLOSE_SESSION), last)
    code = None if session.stop_event is None else session.stop_event.error_code
    run.check("WT-6-17", "code of STOP_SENDING, if any", "in", [None, int(WT.SESSION_GONE)], code)


@case(
    "close-drain.target-message-limit",
    "WT-6-10",
    "WT-6-11",
    needs=("close",),
    variants={"ascii": ("0123456789", 500), "two-bytes": ("xé", 700), "three-bytes": ("€", 1000)},
    witness="draft-16 §6: at most 1024 bytes, cut at a character boundary",
)
def target_message_limit(run: Run) -> None:
    """A close message that is too long for the capsule is truncated to 1024 bytes at a character boundary.

    draft-16 §6; the library may refuse instead, then the message is empty.
    """
    text, repeat = run.variant
    session = run.establish(run.endpoint("close", code=1, reason=text, repeat=repeat))
    run.peer.wait(lambda: session.done)
    messages = [value[4:] for value in close_values(run, session)]
    run.check(
        "WT-6-10", "length of the message", "<=", 1024, max((len(message) for message in messages), default=0)
    )
    valid = all(message.decode("utf-8", "ignore").encode() == message for message in messages)
    run.check("WT-6-11", "the message is UTF-8", "is", True, valid)


@case(
    "close-drain.observed-code",
    "WT-6-26",
    needs=("observe",),
    witness="draft-16 §6: code and message for the application",
    version=2,
)
def observed_code(run: Run) -> None:
    """Code and message of the client's close reach the target's application.

    draft-16 §6.
    """
    session = run.establish_observed()
    session.close(0xFFFFFFFE, "é".encode())
    run.peer.wait(lambda: session.done)
    records = run.observed("closed")
    run.check(
        "WT-6-26",
        "codes that the application saw",
        "==",
        [0xFFFFFFFE],
        [item.get("code") for item in records],
    )
    run.check(
        "WT-6-26", "messages that the application saw", "==", ["é"], [item.get("reason") for item in records]
    )


@case(
    "close-drain.observed-default",
    "WT-6-21",
    needs=("observe",),
    witness="draft-16 §6: code 0 and an empty message",
    version=2,
)
def observed_default(run: Run) -> None:
    """A FIN without a capsule means code 0 and an empty message.

    draft-16 §6.
    """
    session = run.establish_observed()
    session.finish()
    run.peer.wait(lambda: session.done)
    records = run.observed("closed")
    run.check("WT-6-21", "codes that the application saw", "==", [0], [item.get("code") for item in records])
    run.check(
        "WT-6-21", "messages that the application saw", "==", [""], [item.get("reason") for item in records]
    )
