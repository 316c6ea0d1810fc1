"""Ends of sessions as applications make them: codes and reasons both ways, drain, aborts in mid-transfer."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, case
from conformance.harness.run import Run
from conformance.harness.target import Unsupported
from conformance.peer.capsules import CloseMessage
from conformance.peer.codepoints import CapsuleType
from conformance.peer.errorcodes import to_http

CODES = {
    "default": (0, ""),
    "small": (7, "bye"),
    "largest": (0xFFFFFFFF, "é €"),
    "longest-reason": (1, "r" * 1024),
}


@case(
    "scenario-closing.by-target",
    "OV-4.1-02",
    "WT-6-09",
    needs=("close",),
    variants=CODES,
    witness="draft-16 §6",
)
def by_target(run: Run) -> None:
    """Code and reason of the target's application arrive unchanged.

    draft-16 §6, overview-13 §4.1; a close with code 0 and no reason may be a bare FIN.
    """
    code, reason = run.variant
    session = run.establish(run.endpoint("close", code=code, reason=reason))
    run.peer.wait(lambda: session.done)
    message = session.close_message
    if message is None and run.variant == CODES["default"] and session.ended:
        message = CloseMessage(0, b"")
    if message is None:
        raise Unsupported("cooperation", "the endpoint close ended the session without a close message")
    observed = [message.code, message.text]
    run.check("OV-4.1-02", "code and reason", "==", [code, reason], observed, also=("WT-6-09",))


@case(
    "scenario-closing.by-client",
    "OV-4.1-02",
    "WT-6-26",
    needs=("observe",),
    variants=CODES,
    witness="draft-16 §6",
    version=2,
)
def by_client(run: Run) -> None:
    """Code and reason of the client arrive at the target's application unchanged.

    draft-16 §6, overview-13 §4.1.
    """
    code, reason = run.variant
    session = run.establish_observed()
    session.close(code, reason.encode())
    run.peer.wait(lambda: session.done)
    seen = [[item.get("code"), item.get("reason")] for item in run.observed("closed")]
    run.check(
        "WT-6-26",
        "code and reason that the application saw",
        "==",
        [[code, reason]],
        seen,
        also=("OV-4.1-02",),
    )


@case(
    "scenario-closing.drain-by-target",
    "WT-4.7-05",
    needs=("drain",),
    drafts=SINCE_07,
    witness="80 00 78 ae 00: draft-16 §4.7",
)
def drain_by_target(run: Run) -> None:
    """A drain by the target's application is the empty capsule 0x78ae, and the session goes on.

    draft-16 §4.7.
    """
    session = run.establish(run.endpoint("drain"))

    def drains() -> list[str]:
        found = (item for item in session.capsules if item.capsule_type == CapsuleType.WT_DRAIN_SESSION)
        return [item.value.hex() for item in found]

    run.peer.wait(lambda: bool(drains()))
    run.check("WT-4.7-05", "values of drain capsules", "==", [""], drains())
    echoed = run.bidi_echo(session, b"after the drain")
    run.check("WT-4.7-05", "echo after the drain", "==", b"after the drain".hex(), echoed.hex())


@case(
    "scenario-closing.drain-observed",
    "WT-4.7-08",
    needs=("observe",),
    drafts=SINCE_07,
    witness="draft-16 §4.7",
)
def drain_observed(run: Run) -> None:
    """A drain by the client reaches the target's application.

    draft-16 §4.7 puts no duty on the interface between library and application; recorded only.
    """
    session = run.establish_observed()
    session.drain()
    run.flush()
    run.informational("WT-4.7-08", "the application was told", bool(run.observed("draining")))


@case(
    "scenario-closing.abort-in-transfer",
    "OV-4.3-05",
    "OV-4.3-02",
    variants={"reset": "reset", "stop": "stop", "both": "both"},
    witness="overview-13 §4.3: stream errors stay on the stream",
)
def abort_in_transfer(run: Run) -> None:
    """A transfer that is reset or stopped in its middle leaves the session and other transfers alone.

    overview-13 §4.3, draft-16 §4.4.
    """
    run.need_echo("bidi")
    session = run.establish()
    aborted, other = session.open_bidi(bytes(200_000)), session.open_bidi(bytes(100_000), end_stream=True)
    run.peer.wait(lambda: aborted.received_length > 1000)
    if run.variant in ("reset", "both"):
        aborted.reset(to_http(5))
    if run.variant in ("stop", "both"):
        aborted.stop(to_http(6))
    run.transferred(lambda: other.done)
    run.check("OV-4.3-02", "bytes of the other transfer", "==", 100_000, other.received_length)
    run.expect("OV-4.3-05", "tolerated", session=session)


@case("scenario-closing.during-transfers", "WT-6-18", "OV-4.1-03", witness="draft-16 §6")
def during_transfers(run: Run) -> None:
    """A session that ends while transfers run takes them with it and leaves the connection to the next one.

    draft-16 §6, overview-13 §4.1.
    """
    run.need_echo("bidi")
    session = run.establish()
    streams = [session.open_bidi(bytes(50_000)) for _ in range(3)]
    run.peer.wait(lambda: all(stream.received_length for stream in streams))
    run.mark()
    session.close(9, b"enough")
    run.expect("WT-6-18", "session-closed", session=session)
    run.peer.fence()
    before = sum(stream.received_length for stream in streams)
    run.peer.fence()
    after = sum(stream.received_length for stream in streams)
    run.check("OV-4.1-03", "bytes that came after the end", "==", 0, after - before)
