"""Session flow control (draft-16 §5).

Flow control is on when both sides sent a non-zero initial limit (-16) or both allow more than one
session (-14), so the cases that need it send limits of their own and look at the target's.
"""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.capsules import capsule, limit_capsule, parse_limit
from conformance.peer.codepoints import MAX_STREAM_LIMIT, WT, CapsuleType, Setting
from conformance.peer.session import Session
from conformance.peer.varint import varint

LIMITS = (100, 100, 1 << 20)
FLOW_CONTROL_ERROR = int(WT.FLOW_CONTROL_ERROR)
INITIAL = (
    Setting.WT_INITIAL_MAX_STREAMS_UNI,
    Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    Setting.WT_INITIAL_MAX_DATA,
)
GONE = "draft-16 §5.6: MUST close the session with WT_FLOW_CONTROL_ERROR; -14 §5.6: by a reset"

# A target that reads quickly may raise its limit ahead of a burst that overruns it, which is no violation.
BURSTS, MAX_FILL = 32, 8 << 20
# An echo that this side blocks soon: a target that reads ahead finds the excess before it raises its limit.
NARROW = (100, 100, 1 << 16)


def controlled(run: Run) -> Session:
    """Establish a session with flow control in both directions; Unsupported where the target sends none."""
    run.connect()
    run.need_setting(*INITIAL)
    return run.establish()


def granted(run: Run, session: Session, setting: int, capsule_type: int) -> int:
    """Return the target's current limit: the setting, or the latest capsule."""
    limits = [parse_limit(item.value) for item in session.capsules if item.capsule_type == capsule_type]
    return next((limit for limit in reversed(limits) if limit is not None), run.setting(setting) or 0)


@case(
    "flow-control.prohibited-capsule",
    "WT-5.4-03",
    drafts=SINCE_14,
    variants={"max-stream-data": CapsuleType.WT_MAX_STREAM_DATA},
    negative=True,
    flow_control=LIMITS,
    witness="draft-16 §5.4: MUST treat receipt as a session error",
    version=2,
)
@case(
    "flow-control.prohibited-capsule",
    "WT-5.4-04",
    drafts=SINCE_14,
    variants={"stream-data-blocked": CapsuleType.WT_STREAM_DATA_BLOCKED},
    negative=True,
    flow_control=LIMITS,
    witness="draft-16 §5.4: MUST treat receipt as a session error",
    version=2,
)
def prohibited_capsule(run: Run) -> None:
    """The stream data capsules of the HTTP/2 binding are a session error here.

    draft-16 §5.4: the code is not named (AMB-02), so any end of the session counts.
    """
    session = controlled(run)
    good, bad = (CapsuleType.WT_DATA_BLOCKED, varint(0)), (run.variant, varint(0) + varint(10))
    session.send_capsule(*run.vary(good=good, bad=bad))
    run.expect(run.case.requirements[0], "session-error-any", session=session)


@case(
    "flow-control.max-streams-too-large",
    "WT-5.6.2-02",
    drafts=SINCE_14,
    variants={"bidi": CapsuleType.WT_MAX_STREAMS_BIDI, "uni": CapsuleType.WT_MAX_STREAMS_UNI},
    negative=True,
    flow_control=LIMITS,
    witness="draft-16 §5.6.2: this value cannot exceed 2^60",
)
def max_streams_too_large(run: Run) -> None:
    """A WT_MAX_STREAMS value above 2^60 ends the session.

    draft-16 §5.6.2: WT_FLOW_CONTROL_ERROR (-15: H3_DATAGRAM_ERROR; -14 names none). The twin grants 2^60.
    """
    session = controlled(run)
    value = run.vary(good=MAX_STREAM_LIMIT, bad=MAX_STREAM_LIMIT + 1)
    session.send_capsule_bytes(limit_capsule(run.variant, value))
    run.expect("WT-5.6.2-02", "session-error", code=run.facts.excessive_limit_code, session=session)


@case(
    "flow-control.max-streams-largest",
    "WT-5.6.2-03",
    drafts=SINCE_14,
    variants={"bidi": CapsuleType.WT_MAX_STREAMS_BIDI, "uni": CapsuleType.WT_MAX_STREAMS_UNI},
    flow_control=LIMITS,
    witness="draft-16 §5.6.2: only values larger than 2^60 are errors",
)
def max_streams_largest(run: Run) -> None:
    """A WT_MAX_STREAMS value of exactly 2^60 is allowed.

    draft-16 §5.6.2.
    """
    session = controlled(run)
    session.send_capsule_bytes(limit_capsule(run.variant, MAX_STREAM_LIMIT))
    run.expect("WT-5.6.2-03", "tolerated", session=session)


@case(
    "flow-control.limit-falls",
    "WT-5.6.2-09",
    drafts=SINCE_14,
    variants={
        "streams-bidi": CapsuleType.WT_MAX_STREAMS_BIDI,
        "streams-uni": CapsuleType.WT_MAX_STREAMS_UNI,
    },
    negative=True,
    flow_control=LIMITS,
    witness=GONE,
)
@case(
    "flow-control.limit-falls",
    "WT-5.6.4-03",
    drafts=SINCE_14,
    variants={"data": CapsuleType.WT_MAX_DATA},
    negative=True,
    flow_control=LIMITS,
    witness=GONE,
)
def limit_falls(run: Run) -> None:
    """A limit smaller than the one before ends the session.

    draft-16 §5.6.2, §5.6.4: WT_FLOW_CONTROL_ERROR. The twin raises the limit by the same amount.
    """
    session = controlled(run)
    session.send_capsule_bytes(limit_capsule(run.variant, 1 << 25))
    second = run.vary(good=(1 << 25) + 1000, bad=(1 << 25) - 1000)
    session.send_capsule_bytes(limit_capsule(run.variant, second))
    run.expect(run.case.requirements[0], "session-error", code=FLOW_CONTROL_ERROR, session=session)


@case(
    "flow-control.limit-equal",
    "WT-5.6.2-10",
    drafts=SINCE_14,
    variants={"streams": CapsuleType.WT_MAX_STREAMS_BIDI},
    negative=True,
    flow_control=LIMITS,
    witness="draft-16 §5.6.2: that does not increase",
)
@case(
    "flow-control.limit-equal",
    "WT-5.6.4-04",
    drafts=SINCE_14,
    variants={"data": CapsuleType.WT_MAX_DATA},
    negative=True,
    flow_control=LIMITS,
    witness="draft-16 §5.6.2: that does not increase",
)
def limit_equal(run: Run) -> None:
    """A limit equal to the one before ends the session.

    draft-16 §5.6.2, §5.6.4; -15 and older allow it.
    """
    session = controlled(run)
    session.send_capsule_bytes(limit_capsule(run.variant, 1 << 25))
    second = run.vary(good=(1 << 25) + 1, bad=1 << 25)
    session.send_capsule_bytes(limit_capsule(run.variant, second))
    run.expect(run.case.requirements[0], "session-error", code=FLOW_CONTROL_ERROR, session=session)


@case(
    "flow-control.limit-below-initial", "WT-5.6.2-11", drafts=SINCE_14, flow_control=LIMITS, witness="AMB-09"
)
def limit_below_initial(run: Run) -> None:
    """Whether the initial setting counts as the previously received value is open.

    draft-16 §5.6.2; recorded only.
    """
    session = controlled(run)
    session.send_capsule_bytes(limit_capsule(CapsuleType.WT_MAX_STREAMS_BIDI, LIMITS[1] - 1))
    run.expect("WT-5.6.2-11", "any", session=session)


@case(
    "flow-control.malformed-limit",
    "WT-5.6.2-13",
    "WT-5.6.4-08",
    "HD-3.3-02",
    drafts=SINCE_14,
    variants={
        "streams-empty": (CapsuleType.WT_MAX_STREAMS_BIDI, b""),
        "streams-surplus": (CapsuleType.WT_MAX_STREAMS_UNI, varint(1 << 25) + b"\x00"),
        "data-empty": (CapsuleType.WT_MAX_DATA, b""),
        "data-surplus": (CapsuleType.WT_MAX_DATA, varint(1 << 25) + b"\x00"),
        "data-cut": (CapsuleType.WT_MAX_DATA, b"\x80\x00"),
    },
    negative=True,
    flow_control=LIMITS,
    witness="RFC 9297 §3.3: additional bytes or a value that terminates before the end of its fields",
)
def malformed_limit(run: Run) -> None:
    """A limit capsule with missing or surplus bytes is malformed.

    RFC 9297 §3.3: the CONNECT stream is reset with H3_MESSAGE_ERROR.
    """
    session = controlled(run)
    capsule_type, bad = run.variant
    value = run.vary(good=varint(1 << 25), bad=bad)
    session.send_capsule_bytes(capsule(capsule_type, value))
    run.expect(
        "WT-5.6.2-13",
        "stream-error",
        code=0x010E,
        stream=session,
        session=session,
        also=("WT-5.6.4-08", "HD-3.3-02"),
    )


@case(
    "flow-control.blocked-too-large",
    "WT-5.6.3-02",
    drafts=SINCE_14,
    variants={"bidi": CapsuleType.WT_STREAMS_BLOCKED_BIDI, "uni": CapsuleType.WT_STREAMS_BLOCKED_UNI},
    negative=True,
    flow_control=LIMITS,
    witness="draft-16 §5.6.3: this value cannot exceed 2^60",
)
def blocked_too_large(run: Run) -> None:
    """A WT_STREAMS_BLOCKED value above 2^60 ends the session.

    draft-16 §5.6.3: WT_FLOW_CONTROL_ERROR.
    """
    session = controlled(run)
    value = run.vary(good=MAX_STREAM_LIMIT, bad=MAX_STREAM_LIMIT + 1)
    session.send_capsule_bytes(limit_capsule(run.variant, value))
    run.expect("WT-5.6.3-02", "session-error", code=run.facts.excessive_limit_code, session=session)


@case(
    "flow-control.blocked-is-harmless",
    "WT-5.6.3-03",
    "WT-5.6.5-02",
    drafts=SINCE_14,
    flow_control=LIMITS,
    witness="draft-16 §5.6.3: does not open the stream, but informs the peer",
)
def blocked_is_harmless(run: Run) -> None:
    """Well-formed BLOCKED capsules change nothing.

    draft-16 §5.6.3, §5.6.5.
    """
    session = controlled(run)
    session.send_capsule_bytes(limit_capsule(CapsuleType.WT_STREAMS_BLOCKED_BIDI, 10))
    session.send_capsule_bytes(limit_capsule(CapsuleType.WT_STREAMS_BLOCKED_UNI, 10))
    session.send_capsule_bytes(limit_capsule(CapsuleType.WT_DATA_BLOCKED, 1000))
    run.expect("WT-5.6.3-03", "tolerated", session=session, also=("WT-5.6.5-02",))


@case(
    "flow-control.streams-beyond-limit",
    "WT-5.6.2-07",
    drafts=SINCE_14,
    variants={"uni": (Setting.WT_INITIAL_MAX_STREAMS_UNI, CapsuleType.WT_MAX_STREAMS_UNI)},
    negative=True,
    flow_control=LIMITS,
    witness=GONE,
    version=2,
)
@case(
    "flow-control.streams-beyond-limit",
    "WT-5.6.2-08",
    drafts=SINCE_14,
    variants={"bidi": (Setting.WT_INITIAL_MAX_STREAMS_BIDI, CapsuleType.WT_MAX_STREAMS_BIDI)},
    negative=True,
    flow_control=LIMITS,
    witness=GONE,
    version=2,
)
def streams_beyond_limit(run: Run) -> None:
    """Streams beyond the target's limit end the session.

    draft-16 §5.6.2: WT_FLOW_CONTROL_ERROR. A burst of streams overruns the limit; where the target raised the
    limit meanwhile, the next burst overruns that one. The twin stays at the limit. QUIC's own limit has to
    allow one more.
    """
    session = controlled(run)
    setting, capsule_type = run.variant
    unidirectional = capsule_type == CapsuleType.WT_MAX_STREAMS_UNI
    opener = session.open_uni if unidirectional else session.open_bidi

    def limit() -> int:
        return granted(run, session, setting, capsule_type)

    opened = 0
    for _ in range(BURSTS):
        count = run.vary(good=limit(), bad=limit() + 1)
        room = opened + run.peer.quic.stream_credit(unidirectional=unidirectional)
        run.need(
            0 < count < room, f"its limit of {limit()} streams is not below the {room} that QUIC permits"
        )
        for _ in range(count - opened):
            opener(b"")
        opened = count
        if run.twin:
            break
        run.peer.wait(lambda opened=opened: session.closed_by_peer or limit() >= opened, run.deadline)  # type: ignore[misc]
        if session.closed_by_peer or limit() < opened:
            break
    else:
        run.need(False, f"it raised its limit ahead of each of {BURSTS} bursts")
    run.expect(run.case.requirements[0], "session-error", code=FLOW_CONTROL_ERROR, session=session)


@case(
    "flow-control.data-beyond-limit",
    "WT-5.6.4-02",
    drafts=SINCE_14,
    negative=True,
    flow_control=NARROW,
    witness=GONE,
    version=2,
)
def data_beyond_limit(run: Run) -> None:
    """Body bytes beyond the target's limit end the session.

    draft-16 §5.6.4: WT_FLOW_CONTROL_ERROR. A burst overruns the limit; where the target raised the limit
    meanwhile, or had not read the excess before, the next burst overruns that one. The twin stays below.
    """
    session = controlled(run)
    credit = min(run.transport_parameter(0x06), run.transport_parameter(0x04)) - 1024

    def limit() -> int:
        return granted(run, session, Setting.WT_INITIAL_MAX_DATA, CapsuleType.WT_MAX_DATA)

    def raised(beyond: int) -> bool:
        run.peer.wait(lambda: session.closed_by_peer or limit() >= beyond, run.deadline)
        return not session.closed_by_peer and limit() >= beyond

    def unblock() -> None:
        session.send_capsule_bytes(limit_capsule(CapsuleType.WT_MAX_DATA, 2 * MAX_FILL))

    run.need(0 < limit() < MAX_FILL, f"its limit of {limit()} bytes cannot be filled politely")
    stream, sent = session.open_bidi(b""), 0
    for _ in range(BURSTS):
        amount = run.vary(good=limit() // 2, bad=limit() - sent + 64)
        run.need(
            sent + amount < credit, f"its limit of {limit()} bytes is not below QUIC's credit of {credit}"
        )
        stream.send(bytes(amount))
        sent += amount
        if run.twin:
            unblock()
            break
        if raised(sent):
            continue
        if session.closed_by_peer:
            break
        # It need not read what it cannot answer: nothing blocks its echo any more.
        unblock()
        if not raised(sent):
            break
    else:
        run.need(False, f"it raised its limit ahead of each of {BURSTS} bursts")
    run.expect("WT-5.6.4-02", "session-error", code=FLOW_CONTROL_ERROR, session=session)


@case(
    "flow-control.off-capsules-ignored",
    "WT-5.1-07",
    drafts=SINCE_14,
    variants={
        "max-data": (CapsuleType.WT_MAX_DATA, 1000, 500),
        "max-streams": (CapsuleType.WT_MAX_STREAMS_BIDI, 100, 50),
        "data-blocked": (CapsuleType.WT_DATA_BLOCKED, 1, 1),
        "streams-blocked": (CapsuleType.WT_STREAMS_BLOCKED_UNI, 1, 1),
    },
    witness="draft-16 §5.1: MUST ignore receipt of any flow control capsules",
)
def off_capsules_ignored(run: Run) -> None:
    """Without flow control its capsules are ignored, even falling limits.

    draft-16 §5.1. This side sends no limits, so flow control is off.
    """
    session = run.establish()
    capsule_type, first, second = run.variant
    session.send_capsule_bytes(limit_capsule(capsule_type, first))
    session.send_capsule_bytes(limit_capsule(capsule_type, second))
    run.expect("WT-5.1-07", "tolerated", session=session)


@case(
    "flow-control.off-blocks-nobody",
    "WT-5.1-08",
    drafts=SINCE_14,
    witness="draft-16 §5.1: enabled only if both sides send",
)
def off_blocks_nobody(run: Run) -> None:
    """Without flow control the default limits of zero do not block anyone.

    draft-16 §5.1: more data is echoed than any limit that a library may have by default.
    """
    run.need_echo("bidi")
    session = run.establish()
    body = b"not blocked" * 20_000
    echoed = run.bidi_echo(session, body)
    run.check("WT-5.1-08", "echoed bytes", "==", len(body), len(echoed))
    run.check("WT-5.1-08", "the echo is what was sent", "is", True, echoed == body)
