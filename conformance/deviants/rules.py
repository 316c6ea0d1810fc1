"""Deviants that leave out one rule of the model server, or react with a wrong code: rows of its table."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.deviants.definition import Deviant, Kill, add
from conformance.peer.codepoints import H3
from conformance.peer.drafts import Draft
from conformance.peer.model import RULES, Behaviour, Rule

# Further rows that a skipped rule breaks, beside those of the rule itself.
ALSO: Mapping[str, tuple[str, ...]] = {
    "request-http2-frame": ("H3-4.4-01",),
    "frame-truncated": ("H3-10-01",),
}

# Rules whose rows are informational: what a deviant shows is another recorded reaction.
CHANGED: frozenset[str] = frozenset()

# Rules without a case that can tell: the reason stands beside them.
UNSEEN: Mapping[str, str] = {}

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


def _skip(rule: Rule) -> Deviant:
    def apply(behaviour: Behaviour) -> None:
        behaviour.rules.skip(rule.name)

    kill: Kill = "changed" if rule.name in CHANGED else "fail"
    requirements = (*rule.requirements, *ALSO.get(rule.name, ()))
    title = f"does not enforce {rule.name} ({rule.reference})"
    return Deviant(f"skip.{rule.name}", title, requirements, kill, apply, _drafts(rule))


def _wrong_code(rule: Rule) -> Deviant:
    def apply(behaviour: Behaviour) -> None:
        behaviour.rules.code(rule.name, int(H3.INTERNAL_ERROR))

    title = f"reacts to {rule.name} with H3_INTERNAL_ERROR instead of the code of {rule.reference}"
    requirements = (*rule.requirements, *ALSO.get(rule.name, ()))
    return Deviant(f"code.{rule.name}", title, requirements, "non_strict", apply, _drafts(rule))


def _drafts(rule: Rule) -> tuple[Draft, ...]:
    return rule.drafts


for _rule in RULES.values():
    if _rule.requirements and _rule.name not in UNSEEN:
        add(_skip(_rule))
for _name in WRONG_CODES:
    add(_wrong_code(RULES[_name]))
