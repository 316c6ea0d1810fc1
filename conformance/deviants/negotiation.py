"""Deviants of what a server announces: transport parameters, ALPN, SETTINGS, responses, protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from conformance.deviants.definition import deviant, override
from conformance.peer.codepoints import Setting, TransportParameter
from conformance.peer.drafts import Draft, DraftFacts
from conformance.peer.h3frames import frame
from conformance.peer.model import Behaviour
from conformance.peer.qpack import Field
from conformance.peer.settings import Entries, encode_settings

SINCE_14 = (Draft.D16, Draft.D14)
SINCE_07 = (Draft.D16, Draft.D14, Draft.D07)


def quic(behaviour: Behaviour, **changes: Any) -> None:
    """Replace fields of QuicOptions."""
    override(behaviour, "quic_options", lambda original: {**original(), **changes})


def settings(behaviour: Behaviour, changes: Mapping[int, int | None]) -> None:
    """Replace SETTINGS entries; None leaves one out."""

    def changed(original: Callable[[], Entries]) -> Entries:
        pairs = [(key, changes.get(key, value)) for key, value in original()]
        return tuple((key, value) for key, value in pairs if value is not None)

    override(behaviour, "settings", changed)


# --- QUIC ---


@deviant("quic.any-alpn", "Q-10")
def any_alpn(behaviour: Behaviour) -> None:
    """Takes clients that do not offer HTTP/3 (RFC 9001 §8.1)."""
    quic(behaviour, alpn=("h3", "wtconform-no-such-protocol"))


@deviant("quic.few-requests", "H3-6.1-01", kill="non_strict")
def few_requests(behaviour: Behaviour) -> None:
    """Permits 50 requests at a time instead of 100 (RFC 9114 §6.1)."""
    quic(behaviour, max_streams_bidi=50)


@deviant("quic.little-credit", "H3-6.2-02", kill="non_strict")
def little_credit(behaviour: Behaviour) -> None:
    """Gives unidirectional streams credit for 512 bytes instead of 1024 (RFC 9114 §6.2)."""
    quic(behaviour, max_stream_data_uni=512)


@deviant("quic.no-datagram-parameter", "WT-3.1-07", "QD-3-05")
def no_datagram_parameter(behaviour: Behaviour) -> None:
    """Receives datagrams, but does not announce it (draft-16 §3.1)."""
    quic(behaviour, omitted_transport_parameters=frozenset({int(TransportParameter.MAX_DATAGRAM_FRAME_SIZE)}))


@deviant("quic.no-reset-stream-at", "WT-3.1-08", drafts=SINCE_14)
def no_reset_stream_at(behaviour: Behaviour) -> None:
    """Does not support RESET_STREAM_AT (draft-16 §3.1)."""
    quic(behaviour, reset_stream_at=())


@deviant("quic.reset-stream-at-value", "RSR-3-01", drafts=SINCE_14)
def reset_stream_at_value(behaviour: Behaviour) -> None:
    """Gives its reset_stream_at parameter a value (reliable-stream-reset-10 §3)."""
    quic(behaviour, extra_transport_parameters={int(TransportParameter.RESET_STREAM_AT): b"\x01"})


# --- SETTINGS ---


@deviant("settings.wt-value", "WT-3.1-04", drafts=(Draft.D16,))
def wt_value(behaviour: Behaviour) -> None:
    """Sends SETTINGS_WT_ENABLED with the value 2 (draft-16 §3.1)."""
    settings(behaviour, {int(Setting.WT_ENABLED_D16): 2})


@deviant("settings.wt-value-02", "WTV-02-01", drafts=(Draft.D02,))
def wt_value_02(behaviour: Behaviour) -> None:
    """Sends SETTINGS_ENABLE_WEBTRANSPORT with the value 2 (draft-02 §3.1)."""
    settings(behaviour, {int(Setting.ENABLE_WEBTRANSPORT_D02): 2})


@deviant("settings.unoffered-14", "WT-7-01", "WT-3.1-04", drafts=(Draft.D14,))
def unoffered_14(behaviour: Behaviour) -> None:
    """Speaks draft-14 without its setting (draft-16 §7.1)."""
    settings(behaviour, {int(Setting.WT_MAX_SESSIONS_D14): None})


@deviant("settings.unoffered-07", "WT-7-01", "WT-3.1-04", drafts=(Draft.D07,))
def unoffered_07(behaviour: Behaviour) -> None:
    """Speaks draft-07 without its setting (draft-16 §7.1)."""
    settings(behaviour, {int(Setting.WT_MAX_SESSIONS_D07): None})


@deviant("settings.no-connect-protocol", "WT-3.1-05", "XC-02", drafts=SINCE_07)
def no_connect_protocol(behaviour: Behaviour) -> None:
    """Leaves out SETTINGS_ENABLE_CONNECT_PROTOCOL (draft-16 §3.1)."""
    settings(behaviour, {int(Setting.ENABLE_CONNECT_PROTOCOL): None})


@deviant("settings.no-h3-datagram", "WT-3.1-06", "HD-2.1.1-06", drafts=SINCE_07)
def no_h3_datagram(behaviour: Behaviour) -> None:
    """Leaves out SETTINGS_H3_DATAGRAM (draft-16 §3.1)."""
    settings(behaviour, {int(Setting.H3_DATAGRAM): None})


@deviant("settings.on-demand", "H3-7.2.4-06", "H3-3.2-03")
def settings_on_demand(behaviour: Behaviour) -> None:
    """Sends SETTINGS only after those of the client (RFC 9114 §7.2.4.2)."""
    override(behaviour, "settings_unprompted", lambda _original: False)


@deviant("settings.not-first", "H3-3.2-03")
def settings_not_first(behaviour: Behaviour) -> None:
    """Sends a reserved frame ahead of SETTINGS (RFC 9114 §6.2.1)."""
    override(
        behaviour,
        "control_stream",
        lambda _original: b"\x00" + frame(0x21, b"early") + encode_settings(behaviour.settings()),
    )


@deviant(
    "pooling.without-limits", "WT-5.1-01", "WT-8-01", "WT-5.1-04", "WT-5.1-05", "WT-5.2-04", drafts=SINCE_14
)
def pooling_without_limits(behaviour: Behaviour) -> None:
    """Accepts several sessions at a time, and offers no flow control (draft-16 §5.1)."""
    behaviour.flow_control = None
    behaviour.rules.skip("session-not-pooled")
    settings(behaviour, {int(Setting.WT_MAX_SESSIONS_D14): 1})


# --- responses ---


def add_field(behaviour: Behaviour, fits: Callable[[int], bool], *more: Field) -> None:
    """Append fields to the responses whose status fits."""

    def fields(
        original: Callable[..., list[Field]],
        status: int,
        facts: DraftFacts | None,
        extra: Sequence[Field] = (),
    ) -> list[Field]:
        return [*original(status, facts, extra), *(more if fits(status) else ())]

    override(behaviour, "response_fields", fields)


@deviant("response.transfer-encoding", "H3-4.1-06", drafts=SINCE_07)
def transfer_encoding(behaviour: Behaviour) -> None:
    """Puts Transfer-Encoding into its responses (RFC 9114 §4.1)."""
    add_field(behaviour, lambda status: status == 200, (b"transfer-encoding", b"chunked"))


@deviant("response.content-length", "HD-3.2-06", kill="changed", drafts=SINCE_07)
def content_length(behaviour: Behaviour) -> None:
    """Puts Content-Length into the response that establishes a session (RFC 9297 §3.2)."""
    add_field(behaviour, lambda status: status == 200, (b"content-length", b"0"))


@deviant("response.capsule-protocol-on-refusal", "HD-3.4-02", drafts=SINCE_07)
def capsule_protocol_on_refusal(behaviour: Behaviour) -> None:
    """Puts Capsule-Protocol into a refusal (RFC 9297 §3.4)."""
    add_field(behaviour, lambda status: status >= 300, (b"capsule-protocol", b"?1"))


@deviant("response.draft-unnamed", "WTV-02-02", drafts=(Draft.D02,))
def draft_unnamed(behaviour: Behaviour) -> None:
    """Does not name the draft in the response (draft-02 §6)."""

    def fields(
        original: Callable[..., list[Field]],
        status: int,
        facts: DraftFacts | None,
        extra: Sequence[Field] = (),
    ) -> list[Field]:
        return original(status, None if facts is None else replace(facts, response_marks=()), extra)

    override(behaviour, "response_fields", fields)


@deviant("response.no-allow", "HS-01", drafts=(Draft.D16,))
def no_allow(behaviour: Behaviour) -> None:
    """Answers 405 without Allow (RFC 9110 §15.5.6)."""

    def fields(original: Callable[..., list[Field]], status: int, *rest: Any) -> list[Field]:
        return [field for field in original(status, *rest) if field[0] != b"allow"]

    override(behaviour, "response_fields", fields)


# --- application protocols ---

_IGNORED = ("WT-3.3-06", "WT-3.3-07", "WT-3.3-18", "SF-01")


@deviant("protocol.unasked", "WT-3.3-03", "WT-3.3-04", "WT-3.3-05", *_IGNORED, drafts=SINCE_14)
def protocol_unasked(behaviour: Behaviour) -> None:
    """Names a protocol of its own where it selected none (draft-16 §3.3)."""

    def fields(
        original: Callable[..., list[Field]],
        status: int,
        facts: DraftFacts | None,
        extra: Sequence[Field] = (),
    ) -> list[Field]:
        own = () if status != 200 or any(name == b"wt-protocol" for name, _ in extra) else (b'"own"',)
        return [*original(status, facts, extra), *((b"wt-protocol", value) for value in own)]

    override(behaviour, "response_fields", fields)


@deviant("protocol.token", "WT-3.3-03", "WT-3.3-02", "WT-3.3-20", "WT-3.3-09", "WT-3.3-16", drafts=SINCE_14)
def protocol_token(behaviour: Behaviour) -> None:
    """Sends the selected protocol as a Token instead of a String (draft-16 §3.3)."""
    override(behaviour, "protocol_field", lambda _original, selected: selected.encode())


@deviant("protocol.lenient-list", *_IGNORED, drafts=SINCE_14)
def lenient_list(behaviour: Behaviour) -> None:
    """Takes the first quoted words out of a list, whatever else stands in the field (draft-16 §3.3)."""

    def parse(_original: object, lines: Sequence[bytes]) -> list[str]:
        parts = b",".join(lines).replace(b"\xc3\xa9", b"e").split(b",")
        return [part.strip().split(b";")[0].strip().strip(b'"').decode("latin-1")[:1] for part in parts]

    override(behaviour, "offered_protocols", parse)


@deviant("protocol.parameters", "WT-3.3-09", drafts=SINCE_14)
def parameters_kept(behaviour: Behaviour) -> None:
    """Ignores the field where a member has parameters (draft-16 §3.3)."""

    def parse(original: Callable[..., list[str] | None], lines: Sequence[bytes]) -> list[str] | None:
        return None if any(b";" in line for line in lines) else original(lines)

    override(behaviour, "offered_protocols", parse)


@deviant("protocol.first-line", "WT-3.3-16", drafts=SINCE_14)
def first_line(behaviour: Behaviour) -> None:
    """Reads only the first line of the field (RFC 9651 §4.2)."""
    override(behaviour, "offered_protocols", lambda original, lines: original(lines[:1]))
