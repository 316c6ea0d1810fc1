"""What the target offers, and what a server does with a client that lacks something (draft-16 §3.1, §7.1)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.codepoints import Setting, is_reserved

LEGACY_RESET_STREAM_AT = 0x17F7586D2CB571


@case("negotiation.wt-setting", "WT-3.1-04", "WT-7-01", witness="draft-16 §3.1, §9.2: 0x2c7cf000 = 1")
def wt_setting(run: Run) -> None:
    """The target sends the setting of the draft, with a value that the draft allows.

    draft-16 §3.1: 1 (any value above zero in -15); -14 §3.1, -07 §3.1: above zero; -02 §3.1: 1.
    """
    run.connect()
    value = run.setting(run.facts.setting) or 0
    run.check("WT-7-01", f"setting 0x{run.facts.setting:x}", ">", 0, value)
    if run.draft == "16":
        run.check("WT-3.1-04", "SETTINGS_WT_ENABLED", "==", 1, value)
    elif run.draft == "02":
        run.check("WTV-02-01", "SETTINGS_ENABLE_WEBTRANSPORT", "==", 1, value)


@case(
    "negotiation.connect-protocol",
    "WT-3.1-05",
    "XC-02",
    drafts=SINCE_07,
    witness="RFC 9220 §5: 0x08; RFC 8441 §3: 0 or 1",
)
def connect_protocol(run: Run) -> None:
    """The target sends SETTINGS_ENABLE_CONNECT_PROTOCOL = 1.

    draft-16 §3.1, RFC 8441 §3 (in -02 the draft's own setting implies it).
    """
    run.connect()
    value = run.setting(Setting.ENABLE_CONNECT_PROTOCOL)
    run.check("WT-3.1-05", "SETTINGS_ENABLE_CONNECT_PROTOCOL", "==", 1, value)
    run.check("XC-02", "SETTINGS_ENABLE_CONNECT_PROTOCOL, if any", "in", [None, 0, 1], value)


@case(
    "negotiation.h3-datagram",
    "WT-3.1-06",
    "HD-2.1.1-06",
    drafts=SINCE_07,
    witness="RFC 9297 §2.1.1: 0x33 = 1",
)
def h3_datagram(run: Run) -> None:
    """The target sends SETTINGS_H3_DATAGRAM = 1.

    draft-16 §3.1, RFC 9297 §2.1.1.
    """
    run.connect()
    run.check("WT-3.1-06", "SETTINGS_H3_DATAGRAM", "==", 1, run.setting(Setting.H3_DATAGRAM))


@case(
    "negotiation.reset-stream-at",
    "WT-3.1-08",
    "RSR-3-01",
    drafts=SINCE_14,
    witness="reliable-stream-reset-10 §3: an empty parameter",
)
def reset_stream_at(run: Run) -> None:
    """The target sends an empty reset_stream_at transport parameter.

    draft-16 §3.1, reliable-stream-reset §3. The parameter is 0x1d since -08 and 0x17f7586d2cb571 before;
    the WebTransport drafts pin no version, so either counts.
    """
    run.connect()
    parameters = run.peer.quic.peer_transport_parameters
    lengths = [len(parameters[name]) for name in (0x1D, LEGACY_RESET_STREAM_AT) if name in parameters]
    run.check("WT-3.1-08", "a reset_stream_at parameter is there", "is", True, bool(lengths))
    run.check(
        "RSR-3-01",
        "lengths of the reset_stream_at parameters",
        "not contains",
        1,
        [int(bool(n)) for n in lengths],
    )
    codes = [hex(name) for name in (0x1D, LEGACY_RESET_STREAM_AT) if name in parameters]
    run.informational("WT-3.1-08", "code points of reset_stream_at that the target sends", codes)


@case("negotiation.drafts", "WT-7-02", witness="draft-16 §7.1: a setting for each draft")
def drafts(run: Run) -> None:
    """Which drafts the target offers.

    draft-16 §7.1; recorded only.
    """
    run.connect()
    run.informational("WT-7-02", "drafts that the target offers", sorted(run.target.capabilities.drafts))


@case(
    "negotiation.settings-unprompted",
    "H3-7.2.4-06",
    "H3-3.2-03",
    witness="RFC 9114 §7.2.4.2: MUST NOT wait for the peer",
)
def settings_unprompted(run: Run) -> None:
    """The target's SETTINGS come without waiting for anything of the client.

    RFC 9114 §3.2, §7.2.4.2: a control stream that begins with SETTINGS.
    """
    peer = run.connect(run.options(start_h3=False))
    peer.wait(lambda: peer.peer_settings is not None)
    run.check("H3-7.2.4-06", "SETTINGS arrived", "is", True, peer.peer_settings is not None)
    first = [event.frame_type for event in run.control_frames()[:1]]
    run.check("H3-3.2-03", "first frame on the control stream", "==", [0x04], first)


@case("negotiation.reserved-setting", "H3-7.2.4-05", witness="RFC 9114 §7.2.4.1: SHOULD include at least one")
def reserved_setting(run: Run) -> None:
    """SETTINGS include at least one reserved identifier.

    RFC 9114 §7.2.4.1 (SHOULD), recorded only.
    """
    run.connect()
    found = any(is_reserved(identifier) for identifier in run.peer.peer_settings or {})
    run.informational("H3-7.2.4-05", "SETTINGS include a reserved identifier", found)


@case(
    "negotiation.alpn",
    "Q-10",
    negative=True,
    witness="RFC 9001 §8.1: no_application_protocol, 0x178",
)
def alpn(run: Run) -> None:
    """Without a common application protocol the handshake fails.

    RFC 9001 §8.1: CONNECTION_CLOSE of type 0x178. The twin offers h3.
    """
    tokens = run.vary(good=("h3",), bad=("wtconform-no-such-protocol",))
    run.attempt(run.options(alpn=tokens))
    run.expect("Q-10", "transport-error", code=0x178)


@case(
    "negotiation.client-without-h3-datagram",
    "WT-3.1-10",
    drafts=SINCE_14,
    variants={"absent": None, "zero": 0},
    negative=True,
    witness="draft-16 §3.1: MUST treat all sessions as malformed",
)
def client_without_h3_datagram(run: Run) -> None:
    """A session of a client whose SETTINGS lack H3_DATAGRAM = 1 is treated as malformed.

    draft-16 §3.1: a reset with H3_MESSAGE_ERROR, or a refusal; never a lasting 2xx.
    """
    value = run.vary(good=1, bad=run.variant)
    run.connect(run.options(replace_settings={Setting.H3_DATAGRAM: value}))
    request = run.request()
    run.expect("WT-3.1-10", "malformed-request", stream=request, twin="established")


@case(
    "negotiation.client-without-quic-datagram",
    "WT-3.1-11",
    drafts=SINCE_14,
    negative=True,
    witness="draft-16 §3.1: MUST treat all sessions as malformed",
)
def client_without_quic_datagram(run: Run) -> None:
    """A session of a client that cannot receive QUIC datagrams is treated as malformed.

    draft-16 §3.1. The whole connection may be closed for it (RFC 9114 §8); only the code is then another one.
    """
    size = run.vary(good=65536, bad=None)
    run.attempt(run.options(max_datagram_frame_size=size))
    request = run.request()
    run.expect("WT-3.1-11", "malformed-request", stream=request, twin="established")


@case(
    "negotiation.client-without-reset-stream-at",
    "WT-3.1-12",
    drafts=SINCE_14,
    negative=True,
    witness="draft-16 §3.1: MUST treat all sessions as malformed",
)
def client_without_reset_stream_at(run: Run) -> None:
    """A session of a client that did not offer RESET_STREAM_AT is treated as malformed.

    draft-16 §3.1; both code points of the parameter are left out.
    """
    code_points = run.vary(good=(0x1D, LEGACY_RESET_STREAM_AT), bad=())
    run.connect(run.options(reset_stream_at=code_points))
    request = run.request()
    run.expect("WT-3.1-12", "malformed-request", stream=request, twin="established")


@case(
    "negotiation.client-without-wt-setting",
    "WT-3.1-21",
    drafts=SINCE_07,
    witness="AMB-05",
)
def client_without_wt_setting(run: Run) -> None:
    """What a server does when the client leaves out the WebTransport setting is not laid down.

    draft-16 §3.1; recorded only.
    """
    run.connect(run.options(replace_settings={run.facts.setting: None}))
    request = run.request()
    run.expect("WT-3.1-21", "any", stream=request)


@case("negotiation.client-connect-protocol", "XC-03", witness="RFC 8441 §3: meaningless from a client")
def client_connect_protocol(run: Run) -> None:
    """SETTINGS_ENABLE_CONNECT_PROTOCOL of a client has no meaning.

    RFC 8441 §3.
    """
    run.attempt(run.options(replace_settings={Setting.ENABLE_CONNECT_PROTOCOL: 1}))
    request = run.request()
    run.expect("XC-03", "established", stream=request)
