"""What differs between the drafts of WebTransport over HTTP/3, as one table.

A draft is named as on the command line: 16 stands for -15 and -16, 14 for -13 and -14 (their code
points are the same). The sources are the drafts' own sections, named beside each field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from conformance.peer.codepoints import H3, WT, CapsuleType, Setting
from conformance.peer.errorcodes import LAST, LAST_8_BIT


class Draft(StrEnum):
    """The drafts that the peer speaks, newest first."""

    D16 = "16"
    D14 = "14"
    D07 = "07"
    D02 = "02"


FlowControlSwitch: TypeAlias = Literal["none", "sessions", "initial-limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftFacts:
    """The facts of one draft; "n/a" rules of older drafts are None, False or empty."""

    draft: Draft
    # Setting that negotiates this draft (§3.1 of each), and its greatest valid value.
    setting: Setting
    max_setting_value: int | None
    counts_sessions: bool
    # Value of :protocol (draft-16 §3.2 "webtransport-h3", older "webtransport").
    protocol: bytes
    request_marks: tuple[tuple[bytes, bytes], ...]
    response_marks: tuple[tuple[bytes, bytes], ...]
    # Settings that a server and a client have to send with value 1, besides the draft's own.
    server_settings: tuple[Setting, ...]
    client_settings: tuple[Setting, ...]
    # Whether RESET_STREAM_AT and its transport parameter are required (since -10).
    reset_stream_at: bool
    # Last HTTP/3 code of the application range (8 bits in -02 §4.3).
    last_application_code: int
    # When session flow control is on (draft-16 §5.1, -14 §5.1).
    flow_control: FlowControlSwitch
    # Capsules with a meaning in this draft.
    capsules: frozenset[CapsuleType]
    # Whether a limit equal to the one before is an error (draft-16 §5.6.2), or only a smaller one (-14).
    equal_limit_is_error: bool
    # Code for a WT_MAX_STREAMS or WT_STREAMS_BLOCKED value above 2^60 (draft-16 §5.6; -14 names no
    # reaction, so the capsule is malformed: RFC 9297 §3.3).
    excessive_limit_code: int
    # Status for a resource without WebTransport (draft-16 §3.2: 405, older: 404).
    unknown_resource_status: int
    # Whether WT_STREAM may only be the first bytes of a stream (since -07 §4.2).
    signal_first_only: bool
    # Code with which the streams of an ended session are reset; -02 names none.
    session_gone_code: int
    # Whether an over-long or non-UTF-8 close message has a stated reaction (draft-16 §6).
    judges_close_message: bool
    # Whether WT-Available-Protocols exists.
    protocol_negotiation: bool


_CLOSE_ONLY: Final = frozenset({CapsuleType.WT_CLOSE_SESSION})
_WITH_DRAIN: Final = _CLOSE_ONLY | {CapsuleType.WT_DRAIN_SESSION}
_WITH_FLOW_CONTROL: Final = _WITH_DRAIN | {
    CapsuleType.WT_MAX_DATA,
    CapsuleType.WT_MAX_STREAMS_BIDI,
    CapsuleType.WT_MAX_STREAMS_UNI,
    CapsuleType.WT_DATA_BLOCKED,
    CapsuleType.WT_STREAMS_BLOCKED_BIDI,
    CapsuleType.WT_STREAMS_BLOCKED_UNI,
    CapsuleType.WT_MAX_STREAM_DATA,
    CapsuleType.WT_STREAM_DATA_BLOCKED,
}

_D16: Final = DraftFacts(
    draft=Draft.D16,
    setting=Setting.WT_ENABLED_D16,
    max_setting_value=1,
    counts_sessions=False,
    protocol=b"webtransport-h3",
    request_marks=(),
    response_marks=(),
    server_settings=(Setting.ENABLE_CONNECT_PROTOCOL, Setting.H3_DATAGRAM),
    client_settings=(Setting.H3_DATAGRAM,),
    reset_stream_at=True,
    last_application_code=LAST,
    flow_control="initial-limits",
    capsules=_WITH_FLOW_CONTROL,
    equal_limit_is_error=True,
    excessive_limit_code=WT.FLOW_CONTROL_ERROR,
    unknown_resource_status=405,
    signal_first_only=True,
    session_gone_code=WT.SESSION_GONE,
    judges_close_message=True,
    protocol_negotiation=True,
)
_D14: Final = DraftFacts(
    draft=Draft.D14,
    setting=Setting.WT_MAX_SESSIONS_D14,
    max_setting_value=None,
    counts_sessions=True,
    protocol=b"webtransport",
    request_marks=(),
    response_marks=(),
    server_settings=(Setting.ENABLE_CONNECT_PROTOCOL, Setting.H3_DATAGRAM),
    client_settings=(Setting.H3_DATAGRAM,),
    reset_stream_at=True,
    last_application_code=LAST,
    flow_control="sessions",
    capsules=_WITH_FLOW_CONTROL,
    equal_limit_is_error=False,
    excessive_limit_code=H3.MESSAGE_ERROR,
    unknown_resource_status=404,
    signal_first_only=True,
    session_gone_code=WT.SESSION_GONE,
    judges_close_message=False,
    protocol_negotiation=True,
)
_D07: Final = DraftFacts(
    draft=Draft.D07,
    setting=Setting.WT_MAX_SESSIONS_D07,
    max_setting_value=None,
    counts_sessions=True,
    protocol=b"webtransport",
    request_marks=(),
    response_marks=(),
    server_settings=(Setting.ENABLE_CONNECT_PROTOCOL, Setting.H3_DATAGRAM),
    client_settings=(Setting.H3_DATAGRAM,),
    reset_stream_at=False,
    last_application_code=LAST,
    flow_control="none",
    capsules=_WITH_DRAIN,
    equal_limit_is_error=False,
    excessive_limit_code=H3.MESSAGE_ERROR,
    unknown_resource_status=404,
    signal_first_only=True,
    session_gone_code=WT.SESSION_GONE,
    judges_close_message=False,
    protocol_negotiation=False,
)
_D02: Final = DraftFacts(
    draft=Draft.D02,
    setting=Setting.ENABLE_WEBTRANSPORT_D02,
    max_setting_value=1,
    counts_sessions=False,
    protocol=b"webtransport",
    request_marks=((b"sec-webtransport-http3-draft02", b"1"),),
    response_marks=((b"sec-webtransport-http3-draft", b"draft02"),),
    # -02 §3.2: the draft's own setting implies extended CONNECT, so nothing else is required. Its
    # datagrams are those of h3-datagram before the RFC; stacks announce both code points.
    server_settings=(),
    client_settings=(),
    reset_stream_at=False,
    last_application_code=LAST_8_BIT,
    flow_control="none",
    capsules=_CLOSE_ONLY,
    equal_limit_is_error=False,
    excessive_limit_code=H3.MESSAGE_ERROR,
    unknown_resource_status=404,
    signal_first_only=False,
    session_gone_code=WT.SESSION_GONE,
    judges_close_message=False,
    protocol_negotiation=False,
)

# Newest first: the order in which a shared draft is selected (draft-16 §7.1).
FACTS: Final[Mapping[Draft, DraftFacts]] = {facts.draft: facts for facts in (_D16, _D14, _D07, _D02)}
DRAFTS: Final = tuple(FACTS)


def offered_drafts(settings: Mapping[int, int]) -> frozenset[Draft]:
    """Return the drafts that a peer's SETTINGS offer: those whose own setting is there and not 0."""
    return frozenset(draft for draft, facts in FACTS.items() if settings.get(facts.setting, 0) > 0)


def newest(drafts: frozenset[Draft]) -> Draft | None:
    """Return the newest of ``drafts``, None if there is none (draft-16 §7.1)."""
    return next((draft for draft in DRAFTS if draft in drafts), None)
