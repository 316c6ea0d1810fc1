"""Several sessions on one connection (draft-16 §5.1, §5.2)."""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.codepoints import Setting

INITIAL = (
    Setting.WT_INITIAL_MAX_STREAMS_UNI,
    Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    Setting.WT_INITIAL_MAX_DATA,
)


@case(
    "pooling.second-session-without-flow-control",
    "WT-5.1-04",
    "WT-5.2-04",
    drafts=SINCE_14,
    negative=True,
    witness="draft-16 §5.1: MUST reset the excessive CONNECT streams with H3_REQUEST_REJECTED",
    version=2,
)
def second_session_without_flow_control(run: Run) -> None:
    """Without flow control a second simultaneous session is reset with H3_REQUEST_REJECTED.

    draft-16 §5.1. The twin closes the first session before it asks for the second.
    """
    first = run.establish()
    if run.vary(good=True, bad=False):
        first.close(0, b"")
        run.peer.wait(lambda: first.done)
        run.need_connection()
    run.mark()
    second = run.request()
    if run.twin:
        run.peer.wait(lambda: second.answered)
        run.excuse_close()
    run.expect("WT-5.1-04", "request-rejected", stream=second, twin="established", also=("WT-5.2-04",))


@case(
    "pooling.rejection-harmless",
    "WT-5.1-05",
    drafts=SINCE_14,
    witness="draft-16 §5.1: only the excessive CONNECT streams",
)
def rejection_harmless(run: Run) -> None:
    """The rejection of a second session leaves the first one and the connection intact.

    draft-16 §5.1.
    """
    first = run.establish()
    second = run.request()
    run.peer.wait(lambda: second.answered)
    run.expect("WT-5.1-05", "tolerated", session=first)


@case(
    "pooling.one-after-the-other",
    "WT-5.1-06",
    witness="draft-16 §5.1: more than one simultaneous session",
    version=3,
)
def one_after_the_other(run: Run) -> None:
    """Sessions one after the other need no flow control.

    draft-16 §5.1.
    """
    first = run.establish()
    first.close(0, b"")
    run.peer.wait(lambda: first.done)
    run.need_connection()
    run.mark()
    second = run.request()
    run.peer.wait(lambda: second.answered)
    if not second.answered:
        run.excuse_close()
    run.expect("WT-5.1-06", "established", stream=second)


@case(
    "pooling.needs-flow-control",
    "WT-5.1-01",
    "WT-8-01",
    drafts=SINCE_14,
    flow_control=(100, 100, 1 << 20),
    witness="draft-16 §5.1: MUST enable flow control",
)
def needs_flow_control(run: Run) -> None:
    """A target that accepts two sessions at a time offered flow control in its SETTINGS.

    draft-16 §5.1, §8.
    """
    run.establish()
    second = run.request()
    run.peer.wait(lambda: second.answered)
    offered = any(run.setting(setting) for setting in INITIAL)
    if run.draft.value == "14":
        offered = offered or (run.setting(Setting.WT_MAX_SESSIONS_D14) or 0) > 1
    honest = offered or not second.established
    run.check("WT-5.1-01", "two sessions only with flow control", "is", True, honest, also=("WT-8-01",))


@case(
    "pooling.sessions-kept-apart",
    "WT-4-15",
    "WT-4.5-05",
    "WT-4.5-03",
    drafts=SINCE_14,
    flow_control=(100, 100, 1 << 20),
    witness="draft-16 §4: session IDs demultiplex streams and datagrams",
    version=2,
)
def sessions_kept_apart(run: Run) -> None:
    """Streams and datagrams are attributed to the session that they name.

    draft-16 §4, §4.5: the echo of a datagram carries the quarter of its session's ID.
    """
    run.need_echo("datagram")
    run.need_echo("uni")
    first = run.establish()
    run.need_setting(*INITIAL)
    second = run.request()
    run.peer.wait(lambda: second.answered)
    run.need(second.established, "it accepted no second session on the connection")
    run.datagram_echo(first, b"for the first")
    run.datagram_echo(second, b"for the second")
    crossed = [data.hex() for data in first.datagrams if data.endswith(b"second")]
    crossed += [data.hex() for data in second.datagrams if data.endswith(b"first")]
    run.check("WT-4.5-05", "datagrams on the wrong session", "==", [], crossed)
    quarters = sorted({event.quarter_stream_id for event in run.datagrams_received()})
    run.check("WT-4.5-03", "Quarter Stream IDs", "==", sorted({first.id // 4, second.id // 4}), quarters)
    first.open_uni(b"first", end_stream=True)
    second.open_uni(b"second", end_stream=True)
    own = run.uni_echo(first, b"first")
    other = run.uni_echo(second, b"second")
    run.check(
        "WT-4-15",
        "echoes",
        "==",
        [b"first".hex(), b"second".hex()],
        [own.hex(), other.hex()],
    )
