"""Resets, stops and their error codes (draft-16 §4.4)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, SINCE_14, case
from conformance.harness.run import Run
from conformance.harness.vocabulary import tail
from conformance.peer.codepoints import WT, reserved
from conformance.peer.errorcodes import FIRST, LAST, to_http
from conformance.peer.wtheaders import bidi_header, uni_header

# draft-16 §4.4: first + n + floor(n / 0x1e), computed by hand for the boundaries of the reserved gaps.
MAPPED = {
    "zero": (0, 0x52E4A40FA8DB),
    "before-gap": (29, 0x52E4A40FA8F8),
    "behind-gap": (30, 0x52E4A40FA8FA),
    "behind-second-gap": (60, 0x52E4A40FA919),
    "largest-8-bit": (255, 0x52E4A40FA9E2),
}
MAPPED_32_BIT = {"large": (0xDEADBEEF, 0x52E4A40FA8DB + 0xDEADBEEF + 0xDEADBEEF // 0x1E)}


@case(
    "reset-stop.code-of-reset",
    "WT-4.4-02",
    "WT-4.4-01",
    needs=("reset",),
    variants=MAPPED,
    witness="draft-16 §4.4: first + n + floor(n / 0x1e), computed by hand",
)
def code_of_reset(run: Run) -> None:
    """The application's code is mapped into the range of HTTP/3 codes when the target resets a stream.

    draft-16 §4.4 (-02 §4.3 for codes up to 255): the reserved code points in between are skipped.
    """
    code, mapped = run.variant
    session = run.establish(run.endpoint("reset", code=code))
    stream = session.open_bidi(b"reset me")
    run.peer.wait(lambda: stream.reset_event is not None)
    run.check("WT-4.4-01", "the stream was reset", "is", True, stream.reset_event is not None)
    if stream.reset_event is not None:
        run.check(
            "WT-4.4-02", f"wire code of application code {code}", "==", mapped, stream.reset_event.error_code
        )


@case(
    "reset-stop.code-of-reset-32-bit",
    "WT-4.4-02",
    needs=("reset",),
    variants=MAPPED_32_BIT,
    drafts=SINCE_07,
    witness="draft-16 §4.4: first + n + floor(n / 0x1e), computed by hand",
)
def code_of_reset_32_bit(run: Run) -> None:
    """Codes above 255 are mapped as well: application codes have 32 bits since -07.

    draft-16 §4.4.
    """
    code_of_reset(run)


@case(
    "reset-stop.code-of-stop",
    "WT-4.4-02",
    needs=("reset",),
    variants=MAPPED,
    witness="draft-16 §4.4: first + n + floor(n / 0x1e), computed by hand",
)
def code_of_stop(run: Run) -> None:
    """STOP_SENDING carries the mapped code as well.

    draft-16 §4.4: the mapping holds for RESET_STREAM, RESET_STREAM_AT and STOP_SENDING.
    """
    code, mapped = run.variant
    session = run.establish(run.endpoint("reset", code=code, stop=1))
    stream = session.open_bidi(b"stop me")
    run.peer.wait(lambda: stream.stop_event is not None)
    run.check("WT-4.4-02", "reading was stopped", "is", True, stream.stop_event is not None)
    if stream.stop_event is not None:
        run.check(
            "WT-4.4-02", f"wire code of application code {code}", "==", mapped, stream.stop_event.error_code
        )


@case(
    "reset-stop.reset-at-covers-header",
    "WT-4.4-03",
    needs=("reset",),
    drafts=SINCE_14,
    witness="header of session 0: 40 54 00, three bytes (draft-16 §4.2)",
)
def reset_at_covers_header(run: Run) -> None:
    """A stream opened by the target is reset with RESET_STREAM_AT whose reliable size covers the header.

    draft-16 §4.4: a reliable size of at least the size of the WebTransport header.
    """
    session = run.establish(run.endpoint("reset", code=7, uni=1, bytes=100))
    run.peer.wait(lambda: any(stream.reset_event for stream in session.incoming))
    resets = [stream for stream in session.incoming if stream.reset_event is not None]
    run.check("WT-4.4-03", "a stream of the target was reset", "is", True, bool(resets))
    for stream in resets[:1]:
        assert stream.reset_event is not None
        reliable = stream.reset_event.reliable_size
        header = len(uni_header(session.id))
        run.check("WT-4.4-03", "reliable size (0: plain RESET_STREAM)", ">=", header, reliable or 0)


@case(
    "reset-stop.code-outside-range",
    "WT-4.4-07",
    "WT-4.4-09",
    variants={
        "request-cancelled": 0x010C,
        "below-range": FIRST - 1,
        "above-range": LAST + 1,
        "reserved-inside": 0x52E4A40FA8F9,
        "largest": (1 << 62) - 1,
    },
    witness="RFC 9000 §3.1: a reset ends the stream and nothing else",
)
def code_outside_range(run: Run) -> None:
    """A reset with a code that stands for no application code ends the stream and nothing more.

    draft-16 §4.4: such a reset is shown without an application error code; 0x52e4a40fa8f9 is reserved.
    """
    session = run.establish()
    stream = session.open_bidi(b"partial")
    run.flush()
    stream.reset(run.variant)
    requirement = "WT-4.4-09" if run.variant == 0x52E4A40FA8F9 else "WT-4.4-07"
    run.expect(requirement, "tolerated", session=session)


@case(
    "reset-stop.resets-keep-session",
    "WT-4.4-12",
    "OV-4.3-02",
    witness="overview §4.3: stream errors stay on the stream",
)
def resets_keep_session(run: Run) -> None:
    """Ten resets of streams do not end the session: a fresh stream still works.

    draft-16 §4.4, overview-13 §4.3.
    """
    session = run.establish()
    streams = [session.open_bidi(b"reset") for _ in range(10)]
    run.peer.wait(run.peer.quic.acked)
    for number, stream in enumerate(streams):
        stream.reset(to_http(number))
    run.expect("WT-4.4-12", "tolerated", session=session)
    if run.target.capabilities.echo_bidi:
        stream = session.open_bidi(b"fresh", end_stream=True)
        run.peer.wait(lambda: stream.done)
        run.check(
            "OV-4.3-02", "echo on a fresh stream", "==", b"fresh".hex(), tail(stream.received, b"fresh").hex()
        )


@case(
    "reset-stop.stop-is-answered",
    "WT-4.4-11",
    "Q-01",
    witness="RFC 9000 §3.5: MUST send a RESET_STREAM in Ready or Send",
)
def stop_is_answered(run: Run) -> None:
    """STOP_SENDING on a stream that the target has not finished is answered with a reset of it.

    RFC 9000 §3.5. The echo is kept open by leaving out the FIN.
    """
    run.need_echo("bidi")
    session = run.establish()
    stream = session.open_bidi(b"stop")
    run.peer.wait(lambda: len(stream.received) > 0)
    stream.stop(to_http(77))
    run.peer.wait(lambda: stream.done)
    run.check("Q-01", "the stream was reset", "is", True, stream.reset_event is not None)
    run.expect("WT-4.4-11", "tolerated", session=session)


@case("reset-stop.code-copied", "Q-02", witness="RFC 9000 §3.5: SHOULD copy the error code")
def code_copied(run: Run) -> None:
    """The reset that answers STOP_SENDING copies its code.

    RFC 9000 §3.5 (SHOULD): another code is allowed, so it is recorded only.
    """
    run.need_echo("bidi")
    session = run.establish()
    stream = session.open_bidi(b"stop")
    run.peer.wait(lambda: len(stream.received) > 0)
    stream.stop(to_http(77))
    run.peer.wait(lambda: stream.done)
    copied = stream.reset_event is not None and stream.reset_event.error_code == to_http(77)
    run.informational("Q-02", "the reset copies the code of STOP_SENDING", copied)


@case("reset-stop.frame-for-stop", "RSR-5.4-01", drafts=SINCE_14, witness="AMB-04")
def frame_for_stop(run: Run) -> None:
    """Which frame answers STOP_SENDING: RESET_STREAM or RESET_STREAM_AT.

    reliable-stream-reset-10 §5.4 and draft-16 §4.4 differ; recorded only.
    """
    run.need_echo("bidi")
    session = run.establish()
    stream = session.open_bidi(b"stop")
    run.peer.wait(lambda: len(stream.received) > 0)
    stream.stop(to_http(1))
    run.peer.wait(lambda: stream.done)
    event = stream.reset_event
    kind = "none" if event is None else "RESET_STREAM" if event.reliable_size is None else "RESET_STREAM_AT"
    run.informational("RSR-5.4-01", "frame that answers STOP_SENDING", kind)


@case(
    "reset-stop.reset-before-header",
    "WT-4.4-13",
    variants={"uni-empty": ("uni", 0), "uni-one-byte": ("uni", 1), "bidi-two-bytes": ("bidi", 2)},
    witness="RFC 9114 §6.2: must be tolerated; RFC 9000 §3.2: the data may never arrive",
)
def reset_before_header(run: Run) -> None:
    """A plain RESET_STREAM that overtakes the header of a stream is tolerated.

    RFC 9114 §6.2; the rest of the header never arrives.
    """
    session = run.establish()
    kind, length = run.variant
    header = uni_header(session.id) if kind == "uni" else bidi_header(session.id)
    stream = run.peer.open_uni(header[:length]) if kind == "uni" else run.peer.open_bidi(header[:length])
    run.flush()
    stream.reset(0x010C)
    run.expect("WT-4.4-13", "tolerated", session=session)


@case(
    "reset-stop.unknown-code",
    "H3-8-02",
    variants={"reserved": reserved(7), "random": 0x1234567890},
    witness="RFC 9114 §9: unknown error codes are equivalent to H3_NO_ERROR",
)
def unknown_code(run: Run) -> None:
    """A request reset and stopped with an unknown code does no harm to anything else.

    RFC 9114 §8, §9.
    """
    session = run.establish()
    request = run.get()
    request.reset(run.variant)
    request.stop(run.variant)
    run.expect("H3-8-02", "tolerated", session=session)


@case(
    "reset-stop.observed-code",
    "WT-4.4-04",
    "WT-4.4-05",
    needs=("observe",),
    variants=MAPPED,
    witness="draft-16 §4.4: the inverse mapping, computed by hand",
)
def observed_code(run: Run) -> None:
    """The application sees the code that the client's application gave, for reset and stop alike.

    draft-16 §4.4.
    """
    code, mapped = run.variant
    session = run.establish(run.observe_path(echo=1))
    stream = session.open_bidi(b"observed")
    run.peer.wait(lambda: len(stream.received) > 0)
    stream.reset(mapped)
    codes = [record.get("code") for record in run.observed("reset")]
    run.check("WT-4.4-04", "codes that the application saw", "==", [code], codes, also=("WT-4.4-05",))


@case("reset-stop.observed-without-code", "WT-4.4-08", needs=("observe",), witness="draft-16 §4.4")
def observed_without_code(run: Run) -> None:
    """A code outside of the range is shown to the application as a reset without a code.

    draft-16 §4.4 (SHOULD).
    """
    session = run.establish(run.observe_path(echo=1))
    stream = session.open_bidi(b"observed")
    run.peer.wait(lambda: len(stream.received) > 0)
    stream.reset(int(WT.SESSION_GONE))
    codes = [record.get("code") for record in run.observed("reset")]
    run.check("WT-4.4-08", "codes that the application saw", "==", [None], codes)
