"""Session establishment (draft-16 §3.2, §4.6, RFC 9220)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, SINCE_14, case
from conformance.harness.run import Run
from conformance.harness.target import Unsupported
from conformance.peer.codepoints import FrameType
from conformance.peer.drafts import Draft
from conformance.peer.h3frames import frame
from conformance.peer.varint import varint

# Seconds in which nothing is sent on a session that has to stay open.
QUIET = 0.5
UNPARSABLE = "AMB-20: a field that cannot be parsed may be ignored or make the message malformed"


@case(
    "establishment.accepted",
    "WT-3.2-10",
    "H3-4.4-02",
    "H3-3.2-01",
    witness="draft-16 §3.2: a 2xx response establishes the session",
)
def accepted(run: Run) -> None:
    """A good request is answered with 2xx, and the CONNECT stream stays open in both directions.

    draft-16 §3.2, RFC 9114 §4.4.
    """
    run.connect()
    request = run.request()
    run.expect("WT-3.2-10", "established", stream=request, keep_mark=True)
    run.peer.wait(lambda: request.done, QUIET)
    run.expect("H3-4.4-02", "tolerated", session=request)
    run.check("H3-3.2-01", "selected application protocol", "==", "h3", run.peer.quic.alpn)


@case("establishment.no-origin", "WT-3.2-09", witness="draft-16 §3.2: otherwise the header is OPTIONAL")
def no_origin(run: Run) -> None:
    """A request without Origin is no reason for an error: only browsers have to send it.

    draft-16 §3.2 (-02 always demanded it); a local policy may refuse, so it is recorded only.
    """
    run.connect()
    request = run.request(replace={b"origin": None})
    run.expect("WT-3.2-09", "any", stream=request)


@case(
    "establishment.capsule-protocol-field",
    "WT-3.2-20",
    "HD-3.4-01",
    variants={"true": b"?1", "false": b"?0", "integer": b"1", "garbage": b"((("},
    witness="draft-16 §3.2: can safely be ignored; RFC 9297 §3.4: other types count as absent",
    version=2,
)
def capsule_protocol_field(run: Run) -> None:
    """A Capsule-Protocol field of whatever value makes no difference.

    draft-16 §3.2, RFC 9297 §3.4. One that is no Structured Field at all may make the message malformed
    (RFC 9651 §4.2, AMB-20): recorded only.
    """
    run.connect()
    soft = UNPARSABLE if run.variant == b"(((" else None
    request = run.request(extra=((b"capsule-protocol", run.variant),))
    run.expect("WT-3.2-20", "established", stream=request, soft=soft)
    if soft is not None and not request.established:
        return
    run.expect("HD-3.4-01", "tolerated", session=request, soft=soft)


@case(
    "establishment.priority-field",
    "WT-3.4-01",
    drafts=SINCE_14,
    variants={"valid": b"u=1, i", "garbage": b"=,=,="},
    witness="draft-16 §3.4: requests MAY contain the Priority header field",
    version=2,
)
def priority_field(run: Run) -> None:
    """A Priority field on the request does not prevent the session.

    draft-16 §3.4, RFC 9218 §5; one that cannot be parsed is recorded only (AMB-20).
    """
    run.connect()
    request = run.request(extra=((b"priority", run.variant),))
    soft = UNPARSABLE if run.variant == b"=,=,=" else None
    run.expect("WT-3.4-01", "established", stream=request, soft=soft)


@case(
    "establishment.priority-update",
    "WT-3.4-02",
    drafts=SINCE_14,
    witness="draft-16 §3.4: clients MAY reprioritize",
)
def priority_update(run: Run) -> None:
    """A PRIORITY_UPDATE frame for the CONNECT stream leaves connection and session alone.

    draft-16 §3.4, RFC 9218 §7.2; a server without RFC 9218 skips the unknown frame.
    """
    session = run.establish()
    update = frame(FrameType.PRIORITY_UPDATE_REQUEST, varint(session.id) + b"u=2")
    run.control.send(update)
    run.expect("WT-3.4-02", "tolerated", session=session)


@case(
    "establishment.connect-before-settings",
    "WT-3.1-20",
    witness="draft-16 §3.1: CONNECT can arrive before SETTINGS",
)
def connect_before_settings(run: Run) -> None:
    """A CONNECT that overtakes the client's SETTINGS is legal: the session comes once they are in.

    draft-16 §3.1.
    """
    peer = run.connect(run.options(start_h3=False))
    request = run.request()
    run.flush()
    peer.fence()
    peer.start_h3()
    run.expect("WT-3.1-20", "established", stream=request)


@case(
    "establishment.without-settings",
    "WT-3.1-19",
    "WT-7-03",
    witness="draft-16 §3.1: MUST NOT process before SETTINGS",
)
def without_settings(run: Run) -> None:
    """Without the client's SETTINGS a draft server does not accept a session.

    draft-16 §3.1, §7.1 (-02 §3.1): no 2xx. Accepting and resetting later can be read from another
    paragraph (AMB-07), so it is recorded only.
    """
    run.connect(run.options(start_h3=False))
    request = run.request()
    run.flush()
    run.peer.fence(None)
    run.expect("WT-3.1-19", "any", stream=request)


@case(
    "establishment.unknown-path",
    "WT-3.2-06",
    "WT-3.2-05",
    needs=("reject",),
    witness="draft-16 §3.2: SHOULD reply with 405; older drafts: 404",
)
def unknown_path(run: Run) -> None:
    """A resource without WebTransport never yields a 2xx; the status should be 405 (older drafts: 404).

    draft-16 §3.2. -15 and -16 share their code point, -15 says 404: both count unless declared.
    """
    run.endpoint("reject")
    run.connect()
    request = run.request(path="/no-such-resource-of-the-suite")
    run.expect("WT-3.2-06", "rejected-not-2xx", stream=request)
    if request.status is not None and run.draft == "16":
        expected = [405] if run.target.declared_draft == 16 else [404, 405]
        run.check("WT-3.2-05", "status", "in", expected, request.status, broken="non_strict")
    if request.status == 405:
        run.check(
            "HS-01", "the response has an Allow field", "is", True, b"allow" in dict(request.fields or ())
        )


@case("establishment.unknown-protocol", "XC-01", negative=True, witness="RFC 9220 §3: 501 (Not Implemented)")
def unknown_protocol(run: Run) -> None:
    """An unsupported value of :protocol is refused, by 501 for preference.

    RFC 9220 §3 (SHOULD). The twin names the draft's own token.
    """
    run.connect()
    protocol = run.vary(good=run.facts.protocol, bad=b"no-such-protocol")
    request = run.request(replace={b":protocol": protocol})
    run.expect("XC-01", "rejected-not-2xx", stream=request, twin="established")
    if request.status is not None:
        run.check("XC-01", "status", "==", 501, request.status, broken="non_strict")


@case(
    "establishment.scheme-http", "WT-3.2-25", negative=True, witness="draft-16 §3.2: the scheme MUST be https"
)
def scheme_http(run: Run) -> None:
    """A request that names another scheme than https is not a session request.

    draft-16 §3.2 binds the client only; only a lasting 2xx is notable, and that is recorded.
    """
    run.connect()
    scheme = run.vary(good=b"https", bad=b"http")
    request = run.request(replace={b":scheme": scheme})
    run.expect("WT-3.2-25", "any", stream=request, twin="established")


@case(
    "establishment.draft-header",
    "WTV-02-02",
    drafts=(Draft.D02,),
    witness="draft-02 §6: the value shall be draft02",
)
def draft_header(run: Run) -> None:
    """A -02 server answers with the field that names the draft.

    draft-02 §6: Sec-Webtransport-Http3-Draft: draft02.
    """
    session = run.establish()
    value = dict(session.fields or ()).get(b"sec-webtransport-http3-draft", b"").decode("latin-1")
    run.check("WTV-02-02", "sec-webtransport-http3-draft", "==", "draft02", value)


@case(
    "establishment.response-fields",
    "HD-3.2-06",
    "H3-4.1-06",
    drafts=SINCE_07,
    witness="RFC 9297 §3.2: MUST NOT contain these fields",
)
def response_fields(run: Run) -> None:
    """The target's 2xx has none of the fields that the capsule protocol rules out.

    RFC 9297 §3.2: no Content-Length, Content-Type or Transfer-Encoding, no 204, 205 or 206. WebTransport
    allows any 2xx (AMB-32), so only Transfer-Encoding is judged in full.
    """
    session = run.establish()
    names = sorted({name.decode("latin-1") for name, _ in session.fields or ()})
    soft = "AMB-32: WebTransport allows any 2xx response"
    run.check("HD-3.2-06", "fields", "not contains", "content-length", names, soft=soft)
    run.check("HD-3.2-06", "fields", "not contains", "content-type", names, soft=soft)
    run.check("HD-3.2-06", "status", "not in", [204, 205, 206], session.status, soft=soft)
    run.check("H3-4.1-06", "fields", "not contains", "transfer-encoding", names)


@case(
    "establishment.reject-status",
    "HD-3.4-02",
    needs=("reject",),
    drafts=SINCE_07,
    witness="RFC 9297 §3.4: MUST NOT be sent with other status codes",
    version=2,
)
def reject_status(run: Run) -> None:
    """A refusal carries no Capsule-Protocol field.

    RFC 9297 §3.4.
    """
    run.connect()
    request = run.request(path=run.endpoint("reject", status=403))
    run.peer.wait(lambda: request.answered)
    if request.status is None or request.status < 300:
        raise Unsupported("cooperation", f"the endpoint reject did not refuse: status {request.status}")
    names = sorted({name.decode("latin-1") for name, _ in request.fields or ()})
    run.check("HD-3.4-02", "fields of the refusal", "not contains", "capsule-protocol", names)


GREASE = "RFC 9114 §9: MUST ignore unknown or unsupported values"


@case(
    "establishment.grease",
    "H3-7.2.4-03",
    "H3-9-01",
    variants={"settings": "settings"},
    witness=GREASE,
)
@case(
    "establishment.grease",
    "H3-7.2-10",
    "H3-9-01",
    variants={"control-frame": "control-frame", "connect-frame": "connect-frame"},
    witness=GREASE,
)
@case(
    "establishment.grease",
    "H3-9-01",
    variants={"uni-stream": "uni-stream", "capsule": "capsule", "error-code": "error-code"},
    witness=GREASE,
)
def grease(run: Run) -> None:
    """Reserved settings, frames, stream types, capsules and error codes do not hurt a session.

    RFC 9114 §9.
    """
    reserved_settings = ((0x21, 7), (0x21 + 0x1F * 99, (1 << 62) - 1))
    run.attempt(run.options(extra_settings=reserved_settings if run.variant == "settings" else ()))
    session = run.request()
    run.expect(run.case.requirements[0], "established", stream=session)
    match run.variant:
        case "control-frame":
            run.control.send(frame(0x21 + 0x1F * 3, b"reserved"))
        case "connect-frame":
            session.send(frame(0x21 + 0x1F * 7, b"reserved"))
        case "uni-stream":
            run.peer.open_uni(varint(0x21 + 0x1F * 5) + b"reserved", end_stream=True)
        case "capsule":
            session.send_capsule(0x29 * 3 + 0x17, b"reserved")
        case "error-code":
            stream = session.open_bidi(b"reserved")
            run.flush()
            stream.reset(0x21 + 0x1F * 11)
    run.expect(run.case.requirements[0], "tolerated", session=session)
