"""The rules that the model server enforces, as data: one row for each validation.

Whatever the engine finds wrong it reports by the name of a rule; the row says how far the reaction goes
(``scope``) and with which ``code``. Deviants are made by changing rows of a copy (``RuleTable``).

Scopes: ``connection`` closes it with the code, ``transport`` does so with a code of QUIC; ``request`` and
``stream`` reset what this side sends on the stream and stop what it receives; ``session`` does so with a
CONNECT stream and ends its session; ``response`` answers a request with a status (the code); ``ignore``
drops the input silently; ``hang`` stops serving the connection without a word; ``accept`` means that there
is no such rule: the engine goes on as if the input were valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from conformance.peer.codepoints import H3, WT, Quic
from conformance.peer.drafts import DRAFTS, Draft

Scope: TypeAlias = Literal[
    "transport", "connection", "request", "stream", "session", "response", "ignore", "hang", "accept"
]

D16, D14, D07, D02 = Draft.D16, Draft.D14, Draft.D07, Draft.D02
FLOW_CONTROLLED: Final = (D16, D14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One validation. ``requirements`` are IDs of the catalogue, ``reference`` is the section.

    Outside of ``drafts`` the rule does not exist (``accept``); before a draft is negotiated it does.
    ``draft_codes`` holds codes that differ from ``code`` in single drafts.
    """

    name: str
    scope: Scope
    code: int
    reference: str
    requirements: tuple[str, ...] = ()
    drafts: tuple[Draft, ...] = DRAFTS
    draft_codes: Mapping[Draft, int] = field(default_factory=dict)

    def code_in(self, draft: Draft | None) -> int:
        """Return the code of the reaction in a draft."""
        return self.code if draft is None else self.draft_codes.get(draft, self.code)


def _rule(
    name: str,
    scope: Scope,
    code: int,
    reference: str,
    *requirements: str,
    drafts: tuple[Draft, ...] = DRAFTS,
    draft_codes: Mapping[Draft, int] | None = None,
) -> Rule:
    return Rule(
        name=name,
        scope=scope,
        code=int(code),
        reference=reference,
        requirements=requirements,
        drafts=drafts,
        draft_codes=draft_codes or {},
    )


_TRANSPORT = (
    _rule("reset-stream-at-value", "transport", Quic.TRANSPORT_PARAMETER_ERROR,
          "reliable-stream-reset-10 §3", "RSR-3-02"),
)  # fmt: skip

_CONTROL = (
    _rule("control-stream-duplicate", "connection", H3.STREAM_CREATION_ERROR, "RFC 9114 §6.2.1",
          "H3-6.2.1-02"),
    _rule("control-stream-closed", "connection", H3.CLOSED_CRITICAL_STREAM, "RFC 9114 §6.2.1",
          "H3-6.2.1-03", "H3-6.2.1-04"),
    _rule("control-first-frame", "connection", H3.MISSING_SETTINGS, "RFC 9114 §6.2.1", "H3-6.2.1-01"),
    _rule("control-frame-unexpected", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §7.2.1, §7.2.2",
          "H3-7.2-01"),
    _rule("control-push-promise", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §7.2.5", "H3-7.2-03"),
    _rule("control-http2-frame", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §7.2.8", "H3-7.2-09"),
    _rule("control-frame-malformed", "connection", H3.FRAME_ERROR, "RFC 9114 §7.1", "H3-7.1-01", "H3-10-01"),
    _rule("control-frame-oversized", "connection", H3.EXCESSIVE_LOAD, "RFC 9114 §10.5", "H3-10-02"),
    _rule("control-wt-stream", "connection", H3.FRAME_ERROR, "draft-16 §4.3", "WT-4.3-09", "WT-4.3-10"),
    _rule("settings-repeated", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §7.2.4", "H3-7.2.4-01"),
    _rule("settings-malformed", "connection", H3.FRAME_ERROR, "RFC 9114 §7.1", "H3-7.1-01", "H3-10-01"),
    _rule("settings-duplicate", "connection", H3.SETTINGS_ERROR, "RFC 9114 §7.2.4", "H3-7.2.4-02"),
    _rule("settings-http2", "connection", H3.SETTINGS_ERROR, "RFC 9114 §7.2.4.1", "H3-7.2.4-04"),
    _rule("settings-h3-datagram", "connection", H3.SETTINGS_ERROR, "RFC 9297 §2.1.1", "HD-2.1.1-01"),
    _rule("settings-connect-protocol", "connection", H3.SETTINGS_ERROR, "RFC 8441 §3", "XC-02"),
    _rule("settings-webtransport", "connection", H3.SETTINGS_ERROR, "draft-02 §3.1",
          "WTV-02-01", drafts=(D02,)),
    _rule("goaway-grows", "connection", H3.ID_ERROR, "RFC 9114 §5.2", "H3-5.2-04"),
    _rule("max-push-id-shrinks", "connection", H3.ID_ERROR, "RFC 9114 §7.2.7", "H3-7.2-06"),
    _rule("cancel-push-unknown", "connection", H3.ID_ERROR, "RFC 9114 §7.2.3", "H3-7.2-07"),
    _rule("priority-update-id", "connection", H3.ID_ERROR, "RFC 9218 §7.2", "PRI-7-02"),
    _rule("push-stream", "connection", H3.STREAM_CREATION_ERROR, "RFC 9114 §6.2.2", "H3-6.2.2-01"),
    _rule("unknown-uni-stream", "stream", H3.STREAM_CREATION_ERROR, "RFC 9114 §6.2", "H3-6.2-03"),
)  # fmt: skip

_QPACK = (
    _rule("qpack-stream-duplicate", "connection", H3.STREAM_CREATION_ERROR, "RFC 9204 §4.2", "QPK-4.2-01"),
    _rule("qpack-stream-closed", "connection", H3.CLOSED_CRITICAL_STREAM, "RFC 9204 §4.2", "QPK-4.2-02"),
    _rule("qpack-field-section", "connection", H3.QPACK_DECOMPRESSION_FAILED, "RFC 9204 §2.2, §6",
          "QPK-2.1-01", "QPK-2.2-03", "QPK-2.2-04", "QPK-3-01", "QPK-4.5-01", "QPK-4.5-02", "QPK-4.5-03",
          "QPK-7.4-01"),
    _rule("qpack-encoder-stream", "connection", H3.QPACK_ENCODER_STREAM_ERROR, "RFC 9204 §4.3",
          "QPK-3-01", "QPK-3-03", "QPK-4.3-01", "QPK-2.2-03", "QPK-7.4-01"),
    _rule("qpack-decoder-stream", "connection", H3.QPACK_DECODER_STREAM_ERROR, "RFC 9204 §4.4",
          "QPK-4.4-01", "QPK-4.4-02", "QPK-7.4-01"),
)  # fmt: skip

_REQUESTS = (
    _rule("data-before-headers", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §4.1", "H3-4.1-02"),
    _rule("request-control-frame", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §7.2",
          "H3-7.2-02", "H3-4.4-01"),
    _rule("request-push-promise", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §7.2.5",
          "H3-7.2-03", "H3-4.4-01"),
    _rule("request-http2-frame", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §7.2.8", "H3-7.2-09"),
    _rule("request-priority-update", "connection", H3.FRAME_UNEXPECTED, "RFC 9218 §7.2", "PRI-7-01"),
    _rule("request-frames-after-trailers", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §4.1", "H3-4.1-01"),
    _rule("connect-headers-again", "connection", H3.FRAME_UNEXPECTED, "RFC 9114 §4.4", "H3-4.4-01"),
    _rule("request-wt-stream", "connection", H3.FRAME_ERROR, "draft-16 §4.3", "WT-4.3-08",
          drafts=(D16, D14, D07)),
    _rule("connect-wt-stream", "connection", H3.FRAME_ERROR, "draft-16 §4.3", "WT-4.3-07", "WT-4.3-11",
          drafts=(D16, D14, D07)),
    _rule("frame-truncated", "connection", H3.FRAME_ERROR, "RFC 9114 §7.1", "H3-7.1-02"),
    _rule("request-incomplete", "request", H3.REQUEST_INCOMPLETE, "RFC 9114 §4.1", "H3-4.1-05"),
    _rule("request-oversized", "response", 431, "RFC 9114 §4.2.2", "H3-4.2.2-01"),
    _rule("early-data-oversized", "request", H3.EXCESSIVE_LOAD, "draft-16 §3.2", "H3-10-02"),
    _rule("request-after-goaway", "request", H3.REQUEST_REJECTED, "RFC 9114 §5.2",
          "H3-5.2-02", "H3-4.1.1-01"),
)  # fmt: skip

_MALFORMED = "RFC 9114 §4.1.2"


def _field_rule(name: str, reference: str, *requirements: str) -> Rule:
    return _rule(name, "request", H3.MESSAGE_ERROR, reference, "H3-4.1.2-01", *requirements)


_FIELDS = (
    _field_rule("field-name-uppercase", "RFC 9114 §4.2", "H3-4.2-01"),
    _field_rule("field-name-invalid", "RFC 9114 §4.1.2, RFC 9110 §5.1", "H3-4.2-04"),
    _field_rule("field-value-invalid", "RFC 9114 §4.1.2, RFC 9110 §5.5", "H3-4.2-04"),
    _field_rule("field-connection-specific", "RFC 9114 §4.2", "H3-4.2-02"),
    _field_rule("field-te", "RFC 9114 §4.2", "H3-4.2-03"),
    _field_rule("pseudo-unknown", "RFC 9114 §4.3", "H3-4.3-01"),
    _field_rule("pseudo-after-field", "RFC 9114 §4.3", "H3-4.3-02"),
    _field_rule("pseudo-duplicate", "RFC 9114 §4.3.1", "H3-4.3-03"),
    _field_rule("pseudo-missing", "RFC 9114 §4.3.1, RFC 8441 §4", "XC-05", "H3-4.3.1-01"),
    _field_rule("pseudo-in-trailers", "RFC 9114 §4.3", "H3-4.3-01"),
    _field_rule("authority-empty", "RFC 9114 §4.3.1", "H3-4.3.1-01"),
    _field_rule("authority-host-differ", "RFC 9114 §4.3.1", "H3-4.3.1-01"),
    _field_rule("path-empty", "RFC 9114 §4.3.1", "H3-4.3.1-02"),
    _field_rule("connect-with-scheme-or-path", "RFC 9114 §4.4", "H3-4.4-03"),
    _field_rule("protocol-without-connect", "RFC 8441 §4", "XC-07"),
    _field_rule("scheme-not-https", "draft-16 §3.2", "WT-3.2-25"),
    _field_rule("capsule-content-field", "RFC 9297 §3.2", "HD-3.2-04"),
    _field_rule("content-length-differs", _MALFORMED, "H3-4.1.2-01"),
)

_NEGOTIATION = (
    _rule("client-h3-datagram", "request", H3.MESSAGE_ERROR, "draft-16 §3.1", "WT-3.1-10", "WT-3.1-13",
          drafts=(D16, D14, D07)),
    _rule("client-quic-datagram", "request", H3.MESSAGE_ERROR, "draft-16 §3.1", "WT-3.1-11",
          drafts=(D16, D14, D07)),
    _rule("client-reset-stream-at", "request", H3.MESSAGE_ERROR, "draft-16 §3.1", "WT-3.1-12", "WTV-10-01",
          drafts=FLOW_CONTROLLED),
    _rule("no-common-draft", "request", H3.MESSAGE_ERROR, "draft-16 §3.1, §7.1", "WT-3.1-21", "WT-7-01"),
    _rule("protocol-unsupported", "response", 501, "RFC 9220 §3", "XC-01", "WT-2.1-04"),
    _rule("connect-unsupported", "response", 405, "RFC 9110 §15.5.6", "H3-4.4-03", "XC-06"),
    _rule("resource-unknown", "response", 405, "draft-16 §3.2", "WT-3.2-05", "WT-3.2-06", "HS-01",
          draft_codes={D14: 404, D07: 404, D02: 404}),
    _rule("query-invalid", "response", 400, "endpoint contract"),
    _rule("origin-forbidden", "response", 403, "draft-16 §3.2", "WT-3.2-07", "WT-3.2-08"),
    _rule("session-not-pooled", "request", H3.REQUEST_REJECTED, "draft-16 §5.1",
          "WT-5.1-04", "WT-5.1-05", "WT-5.2-04", drafts=FLOW_CONTROLLED),
    _rule("sessions-exhausted", "request", H3.REQUEST_REJECTED, "draft-16 §5.2, draft-07 §3.4",
          "WTV-07-02", "WT-5.2-01", "WT-5.2-02"),
)  # fmt: skip

_STREAMS = (
    _rule("uni-session-id", "connection", H3.ID_ERROR, "draft-16 §4", "WT-4-06"),
    _rule("bidi-session-id", "connection", H3.ID_ERROR, "draft-16 §4", "WT-4-07"),
    _rule("uni-header-truncated", "ignore", H3.NO_ERROR, "RFC 9114 §6.2", "WT-4.2-06", "H3-6.2-04"),
    _rule("bidi-header-truncated", "stream", H3.REQUEST_INCOMPLETE, "draft-16 §4.3", "WT-4.3-17"),
    _rule("stream-buffer-full", "stream", WT.BUFFERED_STREAM_REJECTED, "draft-16 §4.6",
          "WT-4.6-04", "WT-4.6-05", "WT-4.6-07"),
    _rule("stream-of-refused-session", "stream", WT.BUFFERED_STREAM_REJECTED, "draft-16 §4.6", "WT-4.6-09"),
    _rule("stream-of-plain-request", "stream", WT.BUFFERED_STREAM_REJECTED, "draft-16 §4.6", "WT-4-13"),
    _rule("stream-of-ended-session", "stream", WT.SESSION_GONE, "draft-16 §4, §6", "WT-6-24", "WT-4-11"),
)  # fmt: skip

_DATAGRAMS = (
    _rule("datagram-truncated", "connection", H3.DATAGRAM_ERROR, "RFC 9297 §2.1", "HD-2.1-02"),
    _rule("datagram-quarter-id", "connection", H3.DATAGRAM_ERROR, "RFC 9297 §2.1", "HD-2.1-01"),
    _rule("datagram-beyond-limit", "connection", H3.ID_ERROR, "RFC 9297 §2.1", "HD-2.1-06"),
    _rule("datagram-of-plain-request", "request", H3.DATAGRAM_ERROR, "RFC 9297 §2", "HD-2-01"),
    _rule("datagram-buffer-full", "ignore", H3.NO_ERROR, "draft-16 §4.6", "WT-4.6-06"),
    _rule("datagram-of-ended-session", "ignore", H3.NO_ERROR, "draft-16 §6, RFC 9297 §2.1",
          "WT-6-25", "HD-2.1-04"),
)  # fmt: skip


def _capsule_rule(name: str, reference: str, *requirements: str, drafts: tuple[Draft, ...] = DRAFTS) -> Rule:
    return _rule(name, "session", H3.MESSAGE_ERROR, reference, "HD-3.3-01", *requirements, drafts=drafts)


_CAPSULES = (
    _capsule_rule("capsule-truncated", "RFC 9297 §3.3", "HD-3.3-03"),
    _capsule_rule("close-too-short", "RFC 9297 §3.3", "WT-6-15", "HD-3.3-02"),
    _capsule_rule("close-message-too-long", "draft-16 §6", "WT-6-12", drafts=(D16,)),
    _capsule_rule("close-message-not-utf8", "draft-16 §6", "WT-6-13", drafts=(D16,)),
    _capsule_rule("data-after-close", "draft-16 §6", "WT-6-20"),
    _capsule_rule("drain-with-value", "RFC 9297 §3.3", "WT-4.7-07", "HD-3.3-02", drafts=(D16, D14, D07)),
    _capsule_rule("limit-capsule-malformed", "RFC 9297 §3.3", "WT-5.6.2-13", "WT-5.6.4-08", "HD-3.3-02",
                  drafts=FLOW_CONTROLLED),
)  # fmt: skip


def _limit_rule(
    name: str, reference: str, *requirements: str, drafts: tuple[Draft, ...] = FLOW_CONTROLLED
) -> Rule:
    return _rule(name, "session", WT.FLOW_CONTROL_ERROR, reference, *requirements, drafts=drafts)


_FLOW_CONTROL = (
    _limit_rule("streams-uni-exceeded", "draft-16 §5.6.2", "WT-5.6.2-07"),
    _limit_rule("streams-bidi-exceeded", "draft-16 §5.6.2", "WT-5.6.2-08"),
    _limit_rule("data-exceeded", "draft-16 §5.6.4", "WT-5.6.4-02", "WT-5.4-02"),
    _limit_rule("max-streams-shrinks", "draft-16 §5.6.2", "WT-5.6.2-09", "WTV-14-01"),
    _limit_rule("max-streams-equal", "draft-16 §5.6.2", "WT-5.6.2-10", drafts=(D16,)),
    _limit_rule("max-data-shrinks", "draft-16 §5.6.4", "WT-5.6.4-03", "WTV-14-01"),
    _limit_rule("max-data-equal", "draft-16 §5.6.4", "WT-5.6.4-04", drafts=(D16,)),
    _rule("max-streams-excessive", "session", WT.FLOW_CONTROL_ERROR, "draft-16 §5.6.2", "WT-5.6.2-02",
          drafts=FLOW_CONTROLLED, draft_codes={D14: H3.MESSAGE_ERROR}),
    _rule("streams-blocked-excessive", "session", WT.FLOW_CONTROL_ERROR, "draft-16 §5.6.3", "WT-5.6.3-02",
          drafts=FLOW_CONTROLLED, draft_codes={D14: H3.MESSAGE_ERROR}),
    _limit_rule("max-stream-data-prohibited", "draft-16 §5.4", "WT-5.4-03"),
    _limit_rule("stream-data-blocked-prohibited", "draft-16 §5.4", "WT-5.4-04"),
)  # fmt: skip

RULES: Final[Mapping[str, Rule]] = {
    rule.name: rule
    for group in (
        _TRANSPORT,
        _CONTROL,
        _QPACK,
        _REQUESTS,
        _FIELDS,
        _NEGOTIATION,
        _STREAMS,
        _DATAGRAMS,
        _CAPSULES,
        _FLOW_CONTROL,
    )
    for rule in group
}


class RuleTable:
    """A copy of the rules that a deviant may change. KeyError for a name that is no rule.

    ``permissions`` are rows of input that the texts permit; only a deviant makes rules of them.
    """

    def __init__(self, permissions: Mapping[str, Rule] | None = None) -> None:
        self._permissions = dict(permissions or {})
        allowed = {name: replace(row, scope="accept") for name, row in self._permissions.items()}
        self._rules: dict[str, Rule] = {**RULES, **allowed}

    def __getitem__(self, name: str) -> Rule:
        return self._rules[name]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def skip(self, name: str) -> None:
        """Take the rule away: the violation is processed as if it were valid."""
        self.scope(name, "accept")

    def ignore(self, name: str) -> None:
        """Drop the violating input without any reaction."""
        self.scope(name, "ignore")

    def forbid(self, name: str) -> None:
        """Make a rule of a permission: the server objects to what the texts permit."""
        self._rules[name] = self._permissions[name]

    def scope(self, name: str, scope: Scope, code: int | None = None) -> None:
        """Give the reaction another reach, and another code unless None."""
        rule = replace(self._rules[name], scope=scope)
        self._rules[name] = rule if code is None else replace(rule, code=code, draft_codes={})

    def code(self, name: str, code: int) -> None:
        """Give the reaction another code, in all drafts."""
        self._rules[name] = replace(self._rules[name], code=code, draft_codes={})
