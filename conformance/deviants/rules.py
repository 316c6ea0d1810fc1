"""Deviants that are changed rows of the model server's tables.

``skip.NAME`` does not enforce a rule, ``code.NAME`` reacts with a wrong code, ``raise.NAME`` goes further
than the text lets it, and ``forbid.NAME`` objects to what the texts permit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conformance.deviants.definition import Deviant, Kill, add, expected_kill
from conformance.peer.codepoints import H3
from conformance.peer.model import PERMISSIONS, RULES, Behaviour, Rule

# Further rows that a change of the rule or permission breaks, beside those of the row itself.
ALSO: Mapping[str, tuple[str, ...]] = {
    "request-http2-frame": ("H3-4.4-01",),
    "frame-truncated": ("H3-10-01",),
    "settings-malformed": ("H3-10-01",),
    "connect-wt-stream": ("WT-4.3-06",),
    # Rows whose cases need the same input for another purpose.
    "connect-finished": ("HD-3.3-03", "WT-6-21", "WT-6-01"),
    "drain": ("H3-4.1-04",),
    "qpack-streams-missing": ("WT-3.1-20",),
    "request-frame-unknown": ("WT-4.3-08",),
    "uni-type-missing": ("RSR-5-03",),
}

# Rows that overlap with another one which still refuses the input: what a deviant shows is another recorded
# reaction, or another code than the text names.
OVERLAPPING: Mapping[str, Kill] = {
    "datagram-quarter-id": "non_strict",
    "path-empty": "changed",
    "connect-with-scheme-or-path": "changed",
}

# Rows whose absence no case can tell: the reason stands beside them.
UNSEEN: Mapping[str, str] = {
    "unknown-uni-stream": "RFC 9114 §6.2 lets a server discard the stream instead of stopping it",
    "uni-header-truncated": "to ignore the stream is the reaction",
    "datagram-of-ended-session": "to ignore the datagram is the reaction",
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
    "stream-of-ended-session": (),
    "datagram-of-ended-session": (),
    "session-not-pooled": (),
}


def _row(kind: str, rule: Rule, title: str, kill: Kill | None, change: Callable[[Behaviour], None]) -> None:
    requirements = tuple(dict.fromkeys((*rule.requirements, *ALSO.get(rule.name, ()))))
    verdict = kill or expected_kill(requirements)
    name, title = f"{kind}.{rule.name}", f"{title} ({rule.reference})"
    add(Deviant(name, title, requirements, verdict, change, rule.drafts))


def _skip(rule: Rule) -> None:
    kill = OVERLAPPING.get(rule.name)
    _row("skip", rule, f"does not enforce {rule.name}", kill, lambda item: item.rules.skip(rule.name))


def _wrong_code(rule: Rule) -> None:
    title = f"reacts to {rule.name} with H3_INTERNAL_ERROR"
    _row("code", rule, title, "non_strict", lambda item: item.rules.code(rule.name, int(H3.INTERNAL_ERROR)))


def _raise(rule: Rule, more: tuple[str, ...]) -> None:
    def apply(behaviour: Behaviour) -> None:
        behaviour.rules.scope(rule.name, "connection", int(H3.GENERAL_PROTOCOL_ERROR))

    requirements = (*rule.requirements, *more)
    title = f"closes the connection because of {rule.name} ({rule.reference})"
    verdict = expected_kill(requirements)
    add(Deviant(f"raise.{rule.name}", title, requirements, verdict, apply, rule.drafts))


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
