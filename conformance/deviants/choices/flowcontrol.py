"""Choices about session flow control (draft-16 §5, draft-14 §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from conformance.deviants.choices.definition import choice, instead, on_accept
from conformance.deviants.definition import override
from conformance.peer.capsules import limit_capsule
from conformance.peer.codepoints import WT, CapsuleType
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.model.sessions import Session
from conformance.peer.settings import FlowControl

if TYPE_CHECKING:
    from conformance.peer.model.behaviour import LimitKind

SINCE_14: Final = (Draft.D16, Draft.D14)
_CAPSULES: Final[tuple[tuple[LimitKind, CapsuleType], ...]] = (
    ("uni", CapsuleType.WT_MAX_STREAMS_UNI),
    ("bidi", CapsuleType.WT_MAX_STREAMS_BIDI),
)


@choice(
    "flow.none",
    "draft-16 §5.1: needed only where sessions share a connection",
    drafts=SINCE_14,
    without=(
        "flow-control.",
        "pooling.sessions-kept-apart",
        "scenario-sessions.side-by-side",
        "early-data.settings-kept.flow-control",
    ),
)
def none(behaviour: Behaviour) -> None:
    """Uses no flow control, and takes one session at a time."""
    behaviour.flow_control = None
    behaviour.max_sessions = 1


@choice("flow.tiny", "draft-16 §5.5: limits of any size", drafts=SINCE_14, without=("flow-control.",))
def tiny(behaviour: Behaviour) -> None:
    """Permits one stream of a kind and 64 bytes at a time."""
    behaviour.flow_control = FlowControl(streams_uni=1, streams_bidi=1, data=64)


@choice("flow.by-capsules", "draft-16 §5.5: needs to send WT_MAX_STREAMS on each session", drafts=SINCE_14)
def by_capsules(behaviour: Behaviour) -> None:
    """Announces no stream limits in SETTINGS, and grants streams by capsules when a session begins."""
    behaviour.flow_control = FlowControl(streams_uni=0, streams_bidi=None, data=10240)

    def accepted(session: Session) -> None:
        for kind, capsule_type in _CAPSULES if session.flow.enabled else ():
            session.flow.receive_limit[kind] = 64
            session.send_capsule(limit_capsule(capsule_type, 64))

    on_accept(behaviour, accepted)


@choice(
    "flow.ahead",
    "draft-16 §5.6: MUST NOT wait for a BLOCKED capsule; when to raise a limit is the endpoint's decision",
    drafts=SINCE_14,
    without=("flow-control.streams-beyond-limit", "flow-control.data-beyond-limit"),
)
def ahead(behaviour: Behaviour) -> None:
    """Raises its limits with each stream and byte that arrives."""

    def accepted(session: Session) -> None:
        flow = session.flow
        receive = flow.receive

        def receive_and_raise(kind: LimitKind, amount: int = 1) -> bool:
            within = receive(kind, amount)
            if within and flow.enabled and amount:
                flow.receive_limit[kind] += amount
                capsule = behaviour.limit_capsule(kind, flow.receive_limit[kind])
                session.send_capsule(capsule)
            return within

        instead(flow, "receive", receive_and_raise)

    override(behaviour, "raised_limit", lambda _original, *_arguments: None)
    on_accept(behaviour, accepted)


@choice("flow.errors-by-capsule", "AMB-01 of the catalogue: the code in WT_CLOSE_SESSION", drafts=SINCE_14)
def errors_by_capsule(behaviour: Behaviour) -> None:
    """Ends a session that breaks flow control by a close capsule with the code."""

    def accepted(session: Session) -> None:
        fail = session.fail

        def by_capsule(code: int) -> None:
            if code == WT.FLOW_CONTROL_ERROR:
                session.close(code, "")
            else:
                fail(code)

        instead(session, "fail", by_capsule)

    on_accept(behaviour, accepted)
