"""Subprotocols: what client and target agree on, as both applications see it."""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from scenarios.endpoints import query

OFFER = b"wt-available-protocols"


@case(
    "scenario-subprotocols.agreed",
    "OV-2-06",
    "WT-3.3-02",
    needs=("protocols",),
    drafts=SINCE_14,
    variants={"first": ('"chat", "echo"', "chat", "chat"), "second": ('"x", "echo"', "echo", "echo")},
    witness="draft-16 §3.3",
)
def agreed(run: Run) -> None:
    """The protocol in the response is the one that the target's application got.

    draft-16 §3.3, overview-13 §2.
    """
    offer, supported, expected = run.variant
    run.connect()
    request = run.request(run.endpoint("protocols", supports=supported), extra=((OFFER, offer.encode()),))
    run.peer.wait(lambda: request.answered)
    run.check(
        "WT-3.3-02",
        "wt-protocol",
        "==",
        f'"{expected}"',
        (request.field(b"wt-protocol") or b"").decode("latin-1").partition(";")[0].strip(" "),
    )
    answer, _ = query(run, request)
    selected = answer.get("selected") if isinstance(answer, dict) else None
    run.check("OV-2-06", "protocol that the application got", "==", expected, selected)


@case(
    "scenario-subprotocols.required",
    "WT-3.3-11",
    needs=("protocols",),
    drafts=SINCE_14,
    witness="draft-16 §3.3: MAY reject",
)
def required(run: Run) -> None:
    """A target that needs a protocol can refuse a session without a common one.

    draft-16 §3.3; recorded only.
    """
    run.connect()
    path = run.endpoint("protocols", supports="chat", required=1)
    request = run.request(path, extra=((OFFER, b'"other"'),))
    run.peer.wait(lambda: request.answered)
    run.informational("WT-3.3-11", "status without a common protocol", request.status)
