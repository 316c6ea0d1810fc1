"""Application protocol negotiation (draft-16 §3.3)."""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run

OFFER = b"wt-available-protocols"


def selected(run: Run, *offers: bytes) -> str | None:
    """Request a session at the endpoint that supports a and b with these offers; return its choice."""
    path = run.endpoint("protocols", supports=("a", "b"))
    run.connect()
    request = run.request(path, extra=tuple((OFFER, value) for value in offers))
    run.peer.wait(lambda: request.answered)
    run.check(run.case.requirements[0], "the session was accepted", "is", True, request.established)
    value = dict(request.fields or ()).get(b"wt-protocol")
    # Parameters mean nothing (draft-16 §3.3), and spaces around an item neither (RFC 9651 §4.2).
    return value.decode("latin-1").partition(";")[0].strip(" ") if value is not None else None


@case(
    "subprotocol.choice",
    "WT-3.3-03",
    "WT-3.3-02",
    "WT-3.3-20",
    needs=("protocols",),
    drafts=SINCE_14,
    witness="draft-16 §3.3: a single choice from the client's list",
)
def choice(run: Run) -> None:
    """WT-Protocol names exactly one member of the client's list, as a String.

    draft-16 §3.3, RFC 9651 §4.1.6.
    """
    value = selected(run, b'"x-1", "b", "a"') or ""
    run.check(
        "WT-3.3-03",
        "wt-protocol",
        "in",
        ['"b"', '"a"'],
        value,
        also=("WT-3.3-02", "WT-3.3-20"),
    )


@case(
    "subprotocol.none-suits",
    "WT-3.3-05",
    needs=("protocols",),
    drafts=SINCE_14,
    witness="draft-16 §3.3: MAY reject",
)
def none_suits(run: Run) -> None:
    """Where no offered protocol suits, the target answers without WT-Protocol or refuses; both are fine.

    draft-16 §3.3.
    """
    run.connect()
    path = run.endpoint("protocols", supports="a")
    request = run.request(path, extra=((OFFER, b'"no-such-protocol"'),))
    run.peer.wait(lambda: request.answered)
    run.informational("WT-3.3-05", "the session was accepted", request.established)


@case(
    "subprotocol.never-unoffered",
    "WT-3.3-03",
    drafts=SINCE_14,
    witness="draft-16 §3.3: MUST include a single choice from the list",
)
def never_unoffered(run: Run) -> None:
    """Whatever the endpoint supports, WT-Protocol is absent or one of the offered values.

    draft-16 §3.3.
    """
    run.connect()
    request = run.request(extra=((OFFER, b'"wtconform-1", "wtconform-2"'),))
    run.peer.wait(lambda: request.answered)
    value = dict(request.fields or ()).get(b"wt-protocol", b"").decode("latin-1")
    run.check(
        "WT-3.3-03",
        "wt-protocol (empty: absent)",
        "in",
        ["", '"wtconform-1"', '"wtconform-2"'],
        value.partition(";")[0].strip(" "),
    )


@case(
    "subprotocol.without-offer",
    "WT-3.3-04",
    drafts=SINCE_14,
    witness="draft-16 §3.3: the server responds to an offer",
)
def without_offer(run: Run) -> None:
    """Without an offer there is nothing to choose, so no WT-Protocol is expected.

    draft-16 §3.3; recorded only (AMB-21).
    """
    session = run.establish()
    run.informational(
        "WT-3.3-04", "wt-protocol in the response", b"wt-protocol" in dict(session.fields or ())
    )


@case(
    "subprotocol.other-types",
    "WT-3.3-06",
    "WT-3.3-07",
    needs=("protocols",),
    drafts=SINCE_14,
    variants={
        "token": b'"a", b',
        "integer": b'"a", 1',
        "boolean": b'"a", ?1',
        "byte-sequence": b'"a", :YQ==:',
        "inner-list": b'"a", ("b")',
        "decimal": b'"a", 1.5',
    },
    witness="draft-16 §3.3: any value type other than String causes the entire field to be ignored",
)
def other_types(run: Run) -> None:
    """One list member of another type than String makes the target ignore the whole field.

    draft-16 §3.3: no protocol is selected.
    """
    value = selected(run, run.variant)
    run.check("WT-3.3-06", "wt-protocol", "==", None, value, also=("WT-3.3-07",))


@case(
    "subprotocol.parameters-ignored",
    "WT-3.3-09",
    needs=("protocols",),
    drafts=SINCE_14,
    witness="draft-16 §3.3: parameters MUST be ignored",
)
def parameters_ignored(run: Run) -> None:
    """Parameters on the members of the list are ignored.

    draft-16 §3.3.
    """
    value = selected(run, b'"x";q=1, "a";q=0.1;x')
    run.check("WT-3.3-09", "wt-protocol", "==", '"a"', value)


@case(
    "subprotocol.several-lines",
    "WT-3.3-16",
    needs=("protocols",),
    drafts=SINCE_14,
    witness="RFC 9651 §4.2: lines are combined",
)
def several_lines(run: Run) -> None:
    """Several lines of the field form one list.

    RFC 9651 §4.2.
    """
    value = selected(run, b'"x"', b'"b"')
    run.check("WT-3.3-16", "wt-protocol", "==", '"b"', value)


@case(
    "subprotocol.unparsable",
    "WT-3.3-18",
    "SF-01",
    needs=("protocols",),
    drafts=SINCE_14,
    variants={
        "trailing-comma": b'"a",',
        "open-quote": b'"a',
        "no-comma": b'"a" "b"',
        "bad-escape": b'"a\\n", "b"',
        "non-ascii": '"é", "a"'.encode(),
    },
    witness="RFC 9651 §4.2: if parsing fails the entire field is ignored",
)
def unparsable(run: Run) -> None:
    """A field value that is no Structured Field selects nothing.

    RFC 9651 §4.2; treating the whole message as malformed is allowed as well (AMB-20).
    """
    run.connect()
    path = run.endpoint("protocols", supports=("a", "b"))
    request = run.request(path, extra=((OFFER, run.variant),))
    run.peer.wait(lambda: request.answered)
    chosen = dict(request.fields or ()).get(b"wt-protocol") if request.established else None
    run.check("WT-3.3-18", "no protocol was selected", "is", True, chosen is None, also=("SF-01",))
