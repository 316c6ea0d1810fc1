"""What the texts permit a client to do, as data: one row for each permission that a server might break.

The engine names such input like a violation (``Connection.objects``), but the fault-free server objects to
nothing: the rows are no rules until a deviant forbids one (``RuleTable.forbid``). ``scope`` and ``code`` are
the wrong reaction that it shows then; ``requirements`` are the rows of the catalogue that this breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conformance.peer.codepoints import H3, WT
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model.rules import Rule, Scope

D16, D14, D07, D02 = Draft.D16, Draft.D14, Draft.D07, Draft.D02
SINCE_07: Final = (D16, D14, D07)
SINCE_14: Final = (D16, D14)


def _permission(
    name: str,
    scope: Scope,
    code: int,
    reference: str,
    *requirements: str,
    drafts: tuple[Draft, ...] = DRAFTS,
) -> Rule:
    return Rule(
        name=name, scope=scope, code=int(code), reference=reference, requirements=requirements, drafts=drafts
    )


_HTTP3 = (
    _permission("uni-type-missing", "connection", H3.STREAM_CREATION_ERROR, "RFC 9114 §6.2",
                "H3-6.2-04", "WT-4.2-06", "WT-4.4-13"),
    _permission("setting-large", "connection", H3.SETTINGS_ERROR, "RFC 9114 §7.2.4.1", "H3-7.2.4-03",
                "H3-9-01"),
    _permission("client-connect-protocol", "connection", H3.SETTINGS_ERROR, "RFC 8441 §3", "XC-03"),
    _permission("control-frame-unknown", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §9",
                "H3-9-01", "H3-7.2-10"),
    _permission("goaway", "connection", H3.NO_ERROR, "draft-16 §4.7, RFC 9114 §5.2", "WT-4.7-02"),
    _permission("priority-update", "connection", H3.FRAME_UNEXPECTED, "draft-16 §3.4",
                "WT-3.4-02", "PRI-7-02", drafts=SINCE_14),
    _permission("request-frame-unknown", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §4.1, §9",
                "H3-4.1-04", "H3-7.2-10", "H3-9-01"),
    _permission("request-code-unknown", "connection", H3.GENERAL_PROTOCOL_ERROR, "RFC 9114 §8.1, §9",
                "H3-8-02"),
    _permission("qpack-streams-missing", "request", H3.REQUEST_REJECTED, "RFC 9204 §4.2", "QPK-4.2-03"),
)  # fmt: skip

_REQUESTS = (
    _permission("capsule-protocol-field", "request", H3.MESSAGE_ERROR, "draft-16 §3.2, RFC 9297 §3.4",
                "WT-3.2-20", "HD-3.4-01"),
    _permission("priority-field", "request", H3.MESSAGE_ERROR, "draft-16 §3.4", "WT-3.4-01",
                drafts=SINCE_14),
    _permission("request-before-settings", "request", H3.REQUEST_REJECTED, "draft-16 §3.1", "WT-3.1-20",
                "WT-3.1-19", "WT-7-03"),
    _permission("session-after-session", "request", H3.REQUEST_REJECTED, "draft-16 §5.1", "WT-5.1-06"),
    _permission("data-on-refused-request", "connection", H3.FRAME_UNEXPECTED, "draft-16 §3.2", "WT-3.2-24",
                drafts=SINCE_14),
)  # fmt: skip

_STREAMS = (
    _permission("uni-type-long", "stream", H3.STREAM_CREATION_ERROR, "RFC 9000 §16", "WT-4.2-02"),
    _permission("bidi-signal-long", "stream", H3.FRAME_ERROR, "RFC 9000 §16", "WT-4.3-13"),
    _permission("session-id-long", "stream", H3.ID_ERROR, "RFC 9000 §16", "WT-4-12"),
    _permission("uni-header-split", "stream", H3.STREAM_CREATION_ERROR, "RFC 9000 §2.2", "WT-4.2-03"),
    _permission("bidi-header-reset", "connection", H3.REQUEST_INCOMPLETE, "RFC 9114 §6.2", "WT-4.4-13"),
    _permission("stream-empty", "session", H3.MESSAGE_ERROR, "draft-16 §4.2, §4.3", "WT-4.2-04", "WT-4.3-18"),
    _permission("stream-reset-tenth", "session", H3.EXCESSIVE_LOAD, "draft-16 §4.4",
                "WT-4.4-12", "OV-4.3-02"),
    _permission("stream-code-unmapped", "connection", H3.ID_ERROR, "draft-16 §4.4",
                "WT-4.4-07", "WT-4.4-09", "WT-4.4-08", "H3-9-01"),
)  # fmt: skip

_SESSIONS = (
    _permission("connect-finished", "ignore", H3.NO_ERROR, "draft-16 §6", "WT-6-05"),
    _permission("connect-reset", "ignore", H3.NO_ERROR, "draft-16 §6", "WT-6-06", "WT-6-01"),
    _permission("drain", "session", H3.MESSAGE_ERROR, "draft-16 §4.7", "WT-4.7-06", "WT-4.7-10",
                drafts=SINCE_07),
)  # fmt: skip

_CAPSULES = (
    _permission("capsule-unknown", "session", H3.MESSAGE_ERROR, "RFC 9297 §3.2",
                "HD-3.2-01", "HD-3.2-02", "WT-9-03", "H3-9-01"),
    _permission("capsule-across-frames", "session", H3.MESSAGE_ERROR, "RFC 9297 §3.1", "HD-3.2-02"),
    _permission("capsules-share-frame", "session", H3.MESSAGE_ERROR, "RFC 9297 §3.1", "HD-3.2-02"),
    _permission("capsule-header-long", "session", H3.MESSAGE_ERROR, "RFC 9297 §1.1", "HD-3.2-03"),
    _permission("capsule-huge", "hang", H3.NO_ERROR, "RFC 9297 §3.2", "HD-3.2-07", "HD-3.5-02"),
    _permission("datagram-capsule", "session", H3.DATAGRAM_ERROR, "RFC 9297 §3.5", "HD-3.5-01"),
)  # fmt: skip

_DATAGRAMS = (
    _permission("datagram-empty", "connection", H3.DATAGRAM_ERROR, "RFC 9297 §2.1", "WT-4.5-04", "HD-2.1-07"),
    _permission("datagram-id-long", "ignore", H3.NO_ERROR, "RFC 9297 §1.1", "HD-2.1-08"),
    _permission("datagram-early", "connection", H3.ID_ERROR, "RFC 9297 §2.1, draft-16 §4.6",
                "HD-2.1-05", "WT-4.6-03", "WT-4.6-06"),
)  # fmt: skip

_FLOW_CONTROL = (
    _permission("blocked-capsule", "session", WT.FLOW_CONTROL_ERROR, "draft-16 §5.6.3",
                "WT-5.6.3-03", "WT-5.6.5-02", drafts=SINCE_14),
    _permission("max-streams-largest", "session", WT.FLOW_CONTROL_ERROR, "draft-16 §5.6.2", "WT-5.6.2-03",
                drafts=SINCE_14),
    _permission("limit-while-off", "session", WT.FLOW_CONTROL_ERROR, "draft-16 §5.1", "WT-5.1-07",
                drafts=SINCE_14),
)  # fmt: skip

PERMISSIONS: Final[Mapping[str, Rule]] = {
    row.name: row
    for group in (_HTTP3, _REQUESTS, _STREAMS, _SESSIONS, _CAPSULES, _DATAGRAMS, _FLOW_CONTROL)
    for row in group
}
