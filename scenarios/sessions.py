"""Many sessions: one after the other, side by side on one connection, and on many connections."""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.codepoints import Setting
from conformance.peer.options import SessionRefused
from conformance.peer.session import Session

INITIAL = (
    Setting.WT_INITIAL_MAX_STREAMS_UNI,
    Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    Setting.WT_INITIAL_MAX_DATA,
)
LIMITS = (100, 100, 1 << 20)


@case("scenario-sessions.in-turn", "WT-5.1-06", "WT-5.5-05", witness="draft-16 §5.1", version=2)
def in_turn(run: Run) -> None:
    """Ten sessions one after the other on one connection, each echoes.

    draft-16 §5.1, §5.5: each begins anew.
    """
    run.need_echo("bidi")
    echoed = 0
    for number in range(10):
        try:
            session = run.establish()
        except SessionRefused:
            run.excuse_close()
            raise
        token = b"session %d" % number
        echoed += run.bidi_echo(session, token) == token
        session.close(0, b"")
        run.peer.wait(lambda session=session: session.done)  # type: ignore[misc]
    run.check("WT-5.1-06", "sessions that echoed", "==", 10, echoed, also=("WT-5.5-05",))


@case(
    "scenario-sessions.side-by-side",
    "OV-2-03",
    "WT-4-15",
    drafts=SINCE_14,
    flow_control=LIMITS,
    witness="draft-16 §5.1",
)
def side_by_side(run: Run) -> None:
    """Three sessions at a time on one connection echo without mixing, and end one by one.

    draft-16 §4, §5.1; overview-13 §2.
    """
    run.need_echo("bidi")
    sessions: list[Session] = [run.establish()]
    run.need_setting(*INITIAL)
    for _ in range(2):
        session = run.request()
        run.peer.wait(lambda session=session: session.answered)  # type: ignore[misc]
        run.need(session.established, "it accepted no further session on the connection")
        sessions.append(session)
    while sessions:
        tokens = [b"session %d" % session.id for session in sessions]
        echoes = [run.bidi_echo(session, token) for session, token in zip(sessions, tokens, strict=True)]
        run.check(
            "WT-4-15", f"echoes of {len(sessions)} sessions", "is", True, echoes == tokens, also=("OV-2-03",)
        )
        ended = sessions.pop()
        ended.close(0, b"")
        run.peer.wait(lambda ended=ended: ended.done)  # type: ignore[misc]


@case("scenario-sessions.connections", "OV-2-03", witness="overview-13 §2")
def connections(run: Run) -> None:
    """Five connections with a session each echo side by side.

    overview-13 §2: several sessions between the same pair can exist at a time.
    """
    run.need_echo("bidi")
    streams = []
    for number in range(5):
        run.connect()
        streams.append((run.peer, run.establish().open_bidi(b"connection %d" % number, end_stream=True)))
    for peer, stream in streams:
        peer.wait(lambda stream=stream: stream.done)  # type: ignore[misc]
    echoed = sum(stream.received.endswith(b"connection %d" % n) for n, (_, stream) in enumerate(streams))
    run.check("OV-2-03", "sessions that echoed", "==", 5, echoed)
