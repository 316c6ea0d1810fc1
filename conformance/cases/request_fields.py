"""Malformed session requests (RFC 9114 §4, RFC 9220, RFC 8441)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, case
from conformance.harness.run import Run

MALFORMED = "RFC 9114 §4.1.2: treated as a stream error of type H3_MESSAGE_ERROR"


def malformed(
    run: Run,
    requirement: str,
    *,
    good: tuple[tuple[bytes, bytes], ...] = (),
    bad: tuple[tuple[bytes, bytes], ...],
    prepend: bool = False,
    soft: str | None = None,
) -> None:
    """Send the good request with additional fields, behind or before it; expect it to be refused."""
    run.connect()
    extra = run.vary(good=good, bad=bad)
    fields = run.good_fields()
    request = run.peer.send_request([*extra, *fields] if prepend else [*fields, *extra])
    run.expect(requirement, "malformed-request", stream=request, twin="established", soft=soft)


@case("request-fields.uppercase-name", "H3-4.2-01", "H3-4.1.2-01", negative=True, witness=MALFORMED)
def uppercase_name(run: Run) -> None:
    """A field name with uppercase letters makes the request malformed.

    RFC 9114 §4.2. The twin spells the same name in lowercase.
    """
    malformed(run, "H3-4.2-01", good=((b"x-conformance", b"1"),), bad=((b"X-Conformance", b"1"),))


@case(
    "request-fields.connection-specific",
    "H3-4.2-02",
    "H3-4.1.2-01",
    variants={
        "connection": (b"connection", b"keep-alive"),
        "keep-alive": (b"keep-alive", b"timeout=5"),
        "proxy-connection": (b"proxy-connection", b"keep-alive"),
        "transfer-encoding": (b"transfer-encoding", b"chunked"),
        "upgrade": (b"upgrade", b"webtransport"),
    },
    negative=True,
    witness=MALFORMED,
)
def connection_specific(run: Run) -> None:
    """A connection-specific field makes the request malformed.

    RFC 9114 §4.2. The twin carries an unknown field of the same value.
    """
    name, value = run.variant
    malformed(run, "H3-4.2-02", good=((b"x-" + name, value),), bad=((name, value),))


@case(
    "request-fields.te",
    "H3-4.2-03",
    negative=True,
    witness="RFC 9114 §4.2: TE MUST NOT contain any value other than trailers",
)
def te(run: Run) -> None:
    """TE with another value than trailers makes the request malformed.

    RFC 9114 §4.2. The twin says trailers.
    """
    malformed(run, "H3-4.2-03", good=((b"te", b"trailers"),), bad=((b"te", b"gzip"),))


@case(
    "request-fields.invalid-characters",
    "H3-4.2-04",
    variants={
        "nul-in-value": (b"x-conformance", b"a\x00b"),
        "lf-in-value": (b"x-conformance", b"a\nb"),
        "cr-in-value": (b"x-conformance", b"a\rb"),
        "space-in-name": (b"x conformance", b"ab"),
    },
    negative=True,
    witness="RFC 9114 §4.1.2: the inclusion of invalid characters makes a message malformed; RFC 9110 §5.5",
)
def invalid_characters(run: Run) -> None:
    """Characters that a field name or value cannot have make the request malformed.

    RFC 9114 §4.1.2, §4.2, RFC 9110 §5.1, §5.5.
    """
    malformed(run, "H3-4.2-04", good=((b"x-conformance", b"ab"),), bad=(run.variant,))


@case(
    "request-fields.unknown-pseudo-field",
    "H3-4.3-01",
    "H3-4.1.2-01",
    variants={"unknown": (b":foo", b"bar"), "status": (b":status", b"200")},
    negative=True,
    witness="RFC 9114 §4.3: requests that contain undefined or invalid pseudo-header fields are malformed",
)
def unknown_pseudo_field(run: Run) -> None:
    """An unknown pseudo-header field, or one of responses, makes the request malformed.

    RFC 9114 §4.3.
    """
    malformed(run, "H3-4.3-01", bad=(run.variant,), prepend=True)


@case("request-fields.pseudo-field-last", "H3-4.3-02", "H3-4.1.2-01", negative=True, witness=MALFORMED)
def pseudo_field_last(run: Run) -> None:
    """A pseudo-header field behind a regular one makes the request malformed.

    RFC 9114 §4.3. The twin has the same fields in the right order.
    """
    run.connect()
    fields = [(name, value) for name, value in run.good_fields() if name != b":path"]
    path = (b":path", run.target.path.encode())
    plain = (b"x-conformance", b"1")
    order = run.vary(good=[path, *fields, plain], bad=[*fields, plain, path])
    request = run.peer.send_request(order)
    run.expect("H3-4.3-02", "malformed-request", stream=request, twin="established")


@case(
    "request-fields.duplicated-pseudo-field",
    "H3-4.3-03",
    "H3-4.1.2-01",
    variants={
        "protocol": b":protocol",
        "path": b":path",
        "authority": b":authority",
        "method": b":method",
        "scheme": b":scheme",
    },
    negative=True,
    witness="RFC 9114 §4.3.1: exactly one value for each",
    version=2,
)
def duplicated_pseudo_field(run: Run) -> None:
    """A pseudo-header field that occurs twice makes the request malformed.

    RFC 9114 §4.3, §4.3.1; "exactly one value" is said of :method, :scheme and :path, so that the other two
    are recorded only.
    """
    run.connect()
    fields = run.good_fields()
    again = run.vary(good=[], bad=[(run.variant, dict(fields)[run.variant])])
    request = run.peer.send_request([*again, *fields])
    named = run.variant in (b":method", b":scheme", b":path")
    soft = None if named else "RFC 9114 §4.3.1 demands exactly one value of :method, :scheme and :path only"
    run.expect("H3-4.3-03", "malformed-request", stream=request, twin="established", soft=soft)


@case(
    "request-fields.missing-pseudo-field",
    "XC-05",
    variants={"scheme": b":scheme", "path": b":path"},
    negative=True,
    witness="RFC 9220 §3 and RFC 8441 §4: :scheme and :path MUST be included",
)
def missing_pseudo_field(run: Run) -> None:
    """An extended CONNECT without :scheme or :path is malformed.

    RFC 8441 §4, RFC 9220 §3, RFC 9114 §4.1.2.
    """
    run.connect()
    missing = run.vary(good=None, bad=run.variant)
    fields = [(name, value) for name, value in run.good_fields() if name != missing]
    request = run.peer.send_request(fields)
    run.expect("XC-05", "malformed-request", stream=request, twin="established")


@case(
    "request-fields.no-authority", "H3-4.3.1-01", negative=True, witness="RFC 9114 §4.3.1: :authority or Host"
)
def no_authority(run: Run) -> None:
    """A request with neither :authority nor Host is malformed.

    RFC 9114 §4.3.1.
    """
    run.connect()
    missing = run.vary(good=None, bad=b":authority")
    request = run.peer.send_request([(name, value) for name, value in run.good_fields() if name != missing])
    run.expect("H3-4.3.1-01", "malformed-request", stream=request, twin="established")


@case(
    "request-fields.empty-authority",
    "H3-4.3.1-01",
    negative=True,
    witness="RFC 9114 §4.3.1: MUST NOT be empty",
)
def empty_authority(run: Run) -> None:
    """An empty :authority makes the request malformed.

    RFC 9114 §4.3.1.
    """
    run.connect()
    authority = run.vary(good=run.target.authority.encode(), bad=b"")
    request = run.request(replace={b":authority": authority})
    run.expect("H3-4.3.1-01", "malformed-request", stream=request, twin="established")


@case(
    "request-fields.host-differs",
    "H3-4.3.1-01",
    negative=True,
    witness="RFC 9114 §4.3.1: they MUST contain the same value",
    version=2,
)
def host_differs(run: Run) -> None:
    """A Host field that differs from :authority makes the request malformed.

    RFC 9114 §4.3.1 tells the client to send the same value; the list of what is malformed (§4.1.2) does not
    name the difference, so it is recorded only. The twin repeats the value of :authority.
    """
    same = run.target.authority.encode()
    soft = "RFC 9114 §4.1.2 does not list a differing Host among what makes a request malformed"
    malformed(run, "H3-4.3.1-01", good=((b"host", same),), bad=((b"host", b"other.example"),), soft=soft)


@case(
    "request-fields.empty-path",
    "H3-4.3.1-02",
    negative=True,
    witness="RFC 9114 §4.3.1: MUST NOT be empty for https",
)
def empty_path(run: Run) -> None:
    """An empty :path makes the request malformed.

    RFC 9114 §4.3.1.
    """
    run.connect()
    path = run.vary(good=run.target.path.encode(), bad=b"")
    request = run.request(replace={b":path": path})
    run.expect("H3-4.3.1-02", "malformed-request", stream=request, twin="established")


@case(
    "request-fields.plain-connect",
    "H3-4.4-03",
    negative=True,
    witness="RFC 9114 §4.4: :scheme and :path MUST be omitted",
)
def plain_connect(run: Run) -> None:
    """A CONNECT without :protocol, but with :scheme and :path, is malformed and never a session.

    RFC 9114 §4.4, RFC 9220 §3.
    """
    run.connect()
    missing = run.vary(good=None, bad=b":protocol")
    request = run.peer.send_request([(name, value) for name, value in run.good_fields() if name != missing])
    run.expect("H3-4.4-03", "malformed-request", stream=request, twin="established")


@case(
    "request-fields.protocol-on-get",
    "XC-07",
    negative=True,
    witness="RFC 8441 §4: only on CONNECT",
    version=2,
)
def protocol_on_get(run: Run) -> None:
    """:protocol on another method than CONNECT is not valid.

    RFC 8441 §4, RFC 9220 §3: no session; RFC 9114 §4.3: pseudo-header fields are only valid in the context in
    which they are defined. The request is finished, so that a server need not wait for its content.
    """
    run.connect()
    method = run.vary(good=b"CONNECT", bad=b"GET")
    request = run.request(replace={b":method": method})
    if not run.twin:
        request.finish()
    run.expect("XC-07", "malformed-request", stream=request, twin="established")


@case(
    "request-fields.content-fields",
    "HD-3.2-04",
    drafts=SINCE_07,
    variants={"content-length": (b"content-length", b"0"), "content-type": (b"content-type", b"text/plain")},
    negative=True,
    witness="RFC 9297 §3.2: MUST be treated as malformed",
)
def content_fields(run: Run) -> None:
    """A request of the capsule protocol with Content-Length or Content-Type is malformed.

    RFC 9297 §3.2. WebTransport says any 2xx (AMB-32): recorded, judged only in the strict reading.
    """
    name, value = run.variant
    soft = "AMB-32: the WebTransport drafts do not repeat this rule"
    malformed(run, "HD-3.2-04", good=((b"x-" + name, value),), bad=((name, value),), soft=soft)


@case(
    "request-fields.many-fields",
    "H3-4.2.2-01",
    witness="RFC 9114 §4.2.2: MAY refuse; RFC 6585: 431",
    disruptive=True,
)
def many_fields(run: Run) -> None:
    """A field section of a quarter of a megabyte may be refused; the target keeps serving.

    RFC 9114 §4.2.2.
    """
    run.connect()
    request = run.request(extra=tuple((b"x-large-%d" % number, b"v" * 8000) for number in range(32)))
    run.expect("H3-4.2.2-01", "any", stream=request)


@case(
    "request-fields.tunnel",
    "XC-06",
    witness="RFC 9220 §3: no tunnel to the host in :authority",
    version=2,
)
def tunnel(run: Run) -> None:
    """An ordinary CONNECT opens no tunnel to the host that it names, unless the target is a proxy as well.

    RFC 8441 §4 and RFC 9220 §3 speak of the extended CONNECT, RFC 9114 §4.4 lets a proxy serve the ordinary
    one; so it is recorded only.
    """
    run.connect()
    fields = [(b":method", b"CONNECT"), (b":authority", run.target.authority.encode())]
    request = run.peer.send_request(fields)
    soft = "RFC 9114 §4.4: a proxy serves an ordinary CONNECT"
    run.expect("XC-06", "rejected-not-2xx", stream=request, soft=soft)


@case(
    "request-fields.content-length-differs",
    "H3-4.1.2-01",
    witness="RFC 9114 §4.1.2: a content-length that does not equal the sum of the DATA frame lengths",
)
def content_length_differs(run: Run) -> None:
    """An ordinary request whose content is shorter than announced is malformed.

    RFC 9114 §4.1.2; a server that answers ahead of the content is right as well, so it is recorded only.
    """
    run.connect()
    fields = [*run.get_fields(), (b"content-length", b"10")]
    request = run.peer.send_request(fields, end_stream=True)
    run.expect("H3-4.1.2-01", "any", stream=request)
