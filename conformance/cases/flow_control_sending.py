"""Session flow control of what the target sends (draft-16 §5.5, §5.6)."""

from __future__ import annotations

from conformance.cases.flow_control import INITIAL
from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.capsules import limit_capsule
from conformance.peer.codepoints import CapsuleType


@case(
    "flow-control.target-respects-streams",
    "WT-5.6.2-04",
    "WT-5.6.2-05",
    "WT-5.5-01",
    "WT-5.5-02",
    needs=("push",),
    drafts=SINCE_14,
    variants={"uni": "uni", "bidi": "bidi"},
    flow_control=(3, 3, 1 << 20),
    witness="draft-16 §5.6.2: MUST NOT open more streams than permitted",
)
def target_respects_streams(run: Run) -> None:
    """The target opens no more streams than the client's limit, and more once it is raised.

    draft-16 §5.5, §5.6.2: the limit is cumulative.
    """
    run.connect()
    run.need_setting(*INITIAL)
    session = run.establish(run.endpoint("push", **{run.variant: 6}))
    run.peer.wait(lambda: len(session.incoming) >= 3)
    run.peer.fence()
    run.check(
        "WT-5.6.2-04",
        "streams opened with a limit of 3",
        "==",
        3,
        len(session.incoming),
        also=("WT-5.6.2-05", "WT-5.5-01", "WT-5.5-02"),
    )
    uni = run.variant == "uni"
    raised = CapsuleType.WT_MAX_STREAMS_UNI if uni else CapsuleType.WT_MAX_STREAMS_BIDI
    session.send_capsule_bytes(limit_capsule(raised, 5))
    run.peer.wait(lambda: len(session.incoming) >= 5)
    run.peer.fence()
    run.check("WT-5.6.2-04", "streams opened with a limit of 5", "==", 5, len(session.incoming))


@case(
    "flow-control.target-respects-data",
    "WT-5.6.4-01",
    "WT-5.5-03",
    "WT-5.4-01",
    needs=("push",),
    drafts=SINCE_14,
    flow_control=(10, 10, 1000),
    witness="draft-16 §5.6.4: the sum of the lengths of Stream Body data MUST NOT exceed the value",
)
def target_respects_data(run: Run) -> None:
    """The target sends no more body bytes than the client's limit, headers not counted; then the rest.

    draft-16 §5.4, §5.6.4.
    """
    run.connect()
    run.need_setting(*INITIAL)
    session = run.establish(run.endpoint("push", uni=4, bytes=500))

    def total() -> int:
        return sum(len(stream.body) for stream in session.incoming)

    run.peer.wait(lambda: total() >= 1000)
    run.peer.fence()
    run.check("WT-5.6.4-01", "body bytes with a limit of 1000", "<=", 1000, total(), also=("WT-5.5-03",))
    run.check("WT-5.4-01", "body bytes with a limit of 1000", "==", 1000, total())
    session.send_capsule_bytes(limit_capsule(CapsuleType.WT_MAX_DATA, 2000))
    run.peer.wait(lambda: total() >= 2000)
    run.check("WT-5.6.4-01", "body bytes with a limit of 2000", "==", 2000, total())
