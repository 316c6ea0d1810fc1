"""Deviants that are changed rows of the model server's tables.

``skip.NAME`` does not enforce a rule, ``code.NAME`` reacts with a wrong code, ``raise.NAME`` goes further
than the text lets it, and ``forbid.NAME`` objects to what the texts permit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conformance.deviants.definition import Deviant, Kill, add, binding_drafts, expected_kill
from conformance.peer.codepoints import H3
from conformance.peer.drafts import Draft
from conformance.peer.model import PERMISSIONS, RULES, Behaviour, Rule

# Further rows that a change of the rule or permission breaks, beside those of the row itself.
ALSO: Mapping[str, tuple[str, ...]] = {
    "request-http2-frame": ("H3-4.4-01",),
    "frame-truncated": ("H3-10-01",),
    "settings-malformed": ("H3-10-01",),
    "connect-wt-stream": ("WT-4.3-06",),
    "pseudo-in-trailers": ("H3-4.1-01",),
    # Rows whose cases need the same input for another purpose.
    "capsule-across-frames": ("WT-3.2-23",),
    "capsule-unknown": ("HD-3.2-03", "H3-7.1-02", "H3-4.1-04"),
    # The target then sends its RESET_STREAM_AT to a client that knows none.
    "client-reset-stream-at": ("RSR-3-03", "Q-09"),
    "connect-finished": ("HD-3.3-03", "WT-6-21", "WT-6-01"),
    "qpack-streams-missing": ("WT-3.1-20",),
    "request-frame-unknown": ("WT-4.3-08",),
    "uni-type-missing": ("RSR-5-03",),
}

# Rows whose cases cannot give the worst verdict of the catalogue. Another row still refuses the input, so
# that only the code or the recorded reaction differs; or the case judges an open reading, or a softer row.
SEEN_AS: Mapping[str, Kill] = {
    "skip.authority-host-differ": "changed",
    "skip.datagram-quarter-id": "non_strict",
    "skip.path-empty": "changed",
    "skip.connect-with-scheme-or-path": "changed",
    "skip.connect-unsupported": "changed",
    "skip.capsule-content-field": "changed",
    "skip.client-reset-stream-at": "non_strict",
    "skip.content-length-differs": "changed",
    "skip.data-after-close": "changed",
    "skip.datagram-beyond-limit": "changed",
    "skip.datagram-of-plain-request": "changed",
    "skip.drain-with-value": "non_strict",
    "skip.no-common-draft": "changed",
    "skip.priority-update-id": "changed",
    "skip.pseudo-in-trailers": "changed",
    "skip.request-frames-after-trailers": "changed",
    "skip.request-oversized": "changed",
    "skip.request-priority-update": "changed",
    "skip.scheme-not-https": "changed",
    "skip.settings-connect-protocol": "changed",
    "skip.stream-buffer-full": "changed",
    "skip.stream-of-ended-session": "non_strict",
    "raise.uni-header-truncated": "changed",
    "forbid.priority-update": "changed",
}

# Rows whose absence no case can tell: the reason stands beside them.
UNSEEN: Mapping[str, str] = {
    "unknown-uni-stream": "RFC 9114 §6.2 lets a server discard the stream instead of stopping it",
    "uni-header-truncated": "to ignore the stream is the reaction",
    "datagram-of-ended-session": "to ignore the datagram is the reaction",
    "datagram-buffer-full": "to drop the datagram is the reaction, and one more that is kept shows nowhere",
    "data-exceeded": "flow-control.data-not-counted shows it: the limit must not rise meanwhile",
    "control-frame-oversized": "RFC 9114 §10.5 leaves the bound to the server",
    "early-data-oversized": "RFC 9114 §10.5 leaves the bound to the server",
    "sessions-exhausted": "the bound is the server's own, and no setting tells it since -15",
    "request-after-goaway": "no case makes the target send GOAWAY",
    "origin-forbidden": "no case knows the target's policy for origins",
}

# Rules whose code is shown to be judged: another error code is non-strict, not a pass.
WRONG_CODES = (
    "uni-session-id",
    "control-first-frame",
    "settings-http2",
    "datagram-quarter-id",
    "connect-headers-again",
    "qpack-encoder-stream",
    "close-too-short",
    "max-data-shrinks",
    "session-not-pooled",
    "stream-of-ended-session",
)

# Rules that may not be raised to a connection error, with the further rows that this breaks.
RAISED: Mapping[str, tuple[str, ...]] = {
    "unknown-uni-stream": ("H3-6.2.3-01", "H3-9-01"),
    "uni-header-truncated": (),
    "stream-buffer-full": (),
    "stream-of-refused-session": (),
    # Fences open streams on sessions that have ended; a request that was answered counts as ended.
    "stream-of-ended-session": ("WT-6-07", "WT-6-20"),
    "datagram-of-ended-session": ("HD-2-01",),
    "session-not-pooled": (),
}


# Drafts in which no case sees the row: draft-02 names no code for the streams of an ended session, and knows
# neither the capsule protocol nor the place of the signal.
NOT_IN: Mapping[str, tuple[Draft, ...]] = {
    "skip.stream-of-ended-session": (Draft.D02,),
    "code.stream-of-ended-session": (Draft.D02,),
    "skip.bidi-header-truncated": (Draft.D02,),
    "skip.capsule-content-field": (Draft.D02,),
    "skip.no-common-draft": (Draft.D02,),
}


def _row(
    kind: str,
    rule: Rule,
    title: str,
    kill: Kill | None,
    change: Callable[[Behaviour], None],
    more: tuple[str, ...] = (),
) -> None:
    requirements = tuple(dict.fromkeys((*rule.requirements, *ALSO.get(rule.name, ()), *more)))
    name, title = f"{kind}.{rule.name}", f"{title} ({rule.reference})"
    verdict = kill or SEEN_AS.get(name) or expected_kill(requirements)
    allowed = tuple(draft for draft in rule.drafts if draft not in NOT_IN.get(name, ()))
    drafts = binding_drafts(requirements, verdict, allowed)
    add(Deviant(name, title, requirements, verdict, change, drafts))


def _skip(rule: Rule) -> None:
    _row("skip", rule, f"does not enforce {rule.name}", None, lambda item: item.rules.skip(rule.name))


def _wrong_code(rule: Rule) -> None:
    title = f"reacts to {rule.name} with H3_INTERNAL_ERROR"
    _row("code", rule, title, "non_strict", lambda item: item.rules.code(rule.name, int(H3.INTERNAL_ERROR)))


def _raise(rule: Rule, more: tuple[str, ...]) -> None:
    def apply(behaviour: Behaviour) -> None:
        behaviour.rules.scope(rule.name, "connection", int(H3.GENERAL_PROTOCOL_ERROR))

    _row("raise", rule, f"closes the connection because of {rule.name}", None, apply, more)


def _forbid(permission: Rule) -> None:
    title = f"objects to {permission.name}"
    _row("forbid", permission, title, None, lambda behaviour: behaviour.rules.forbid(permission.name))


for _rule in RULES.values():
    if _rule.requirements and _rule.name not in UNSEEN:
        _skip(_rule)
for _name in WRONG_CODES:
    _wrong_code(RULES[_name])
for _name, _more in RAISED.items():
    _raise(RULES[_name], _more)
for _permission in PERMISSIONS.values():
    _forbid(_permission)
