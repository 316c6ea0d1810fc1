"""Session flow control, both ways (draft-16 §5, draft-14 §5)."""

from __future__ import annotations

import pytest

from conformance.peer import capsules
from conformance.peer.codepoints import WT, CapsuleType
from conformance.peer.drafts import Draft
from conformance.peer.model.applications import pattern
from conformance.peer.session import Session
from tests.peer_wt.support import ALL_LIMITS, World

BOTH = pytest.mark.parametrize("draft", [Draft.D16, Draft.D14])


def push(draft: Draft, query: str, limits: tuple[int | None, int | None, int | None]) -> Session:
    peer = World(drafts=[draft]).connect(draft, flow_control=limits)
    return peer.establish(f"/push?{query}")


def settle(session: Session) -> None:
    assert session.peer.fence(session, echo=False).held


def limits_in(session: Session) -> list[tuple[int, int | None]]:
    return [(item.capsule_type, capsules.parse_limit(item.value)) for item in session.capsules]


@BOTH
@pytest.mark.parametrize("kind", ["uni", "bidi"])
def test_streams_stay_within_the_limit(draft: Draft, kind: str) -> None:
    limits = (3, 0, 1000) if kind == "uni" else (0, 3, 1000)
    session = push(draft, f"{kind}=10&bytes=4", limits)
    settle(session)
    assert len(session.incoming) == 3
    blocked = CapsuleType.WT_STREAMS_BLOCKED_UNI if kind == "uni" else CapsuleType.WT_STREAMS_BLOCKED_BIDI
    assert limits_in(session) == [(blocked, 3)]
    raised = CapsuleType.WT_MAX_STREAMS_UNI if kind == "uni" else CapsuleType.WT_MAX_STREAMS_BIDI
    session.send_capsule_bytes(capsules.limit_capsule(raised, 5))
    settle(session)
    assert len(session.incoming) == 5


@BOTH
def test_data_stays_within_the_limit(draft: Draft) -> None:
    session = push(draft, "uni=3&bytes=500", (10, 10, 1000))
    settle(session)
    bodies = [stream.body for stream in session.incoming]
    assert [len(body) for body in bodies] == [500, 500, 0]
    assert limits_in(session) == [(CapsuleType.WT_DATA_BLOCKED, 1000)]
    session.send_capsule_bytes(capsules.limit_capsule(CapsuleType.WT_MAX_DATA, 1499))
    settle(session)
    assert session.incoming[2].body == pattern(499)
    assert not session.incoming[2].ended
    session.send_capsule_bytes(capsules.limit_capsule(CapsuleType.WT_MAX_DATA, 1500))
    settle(session)
    assert session.incoming[2].ended


def test_left_out_settings_are_zero() -> None:
    session = push(Draft.D16, "uni=1&bidi=1", (None, None, 1000))
    settle(session)
    assert session.incoming == []


def test_datagrams_and_capsules_are_outside_of_the_limit() -> None:
    session = push(Draft.D16, "datagrams=3&uni=1&bytes=1&after_ms=1", (1, 0, None))
    settle(session)
    assert len(session.datagrams) == 3
    assert session.incoming[0].body == b""


@BOTH
def test_credit_is_given_back_without_being_asked(draft: Draft) -> None:
    peer = World(drafts=[draft]).connect(draft, flow_control=ALL_LIMITS)
    session = peer.establish()
    for _ in range(10):
        session.open_uni(bytes(600), end_stream=True)
    settle(session)
    assert dict(limits_in(session)) == {
        CapsuleType.WT_MAX_STREAMS_UNI: 26,
        CapsuleType.WT_MAX_DATA: 16240,
    }


def test_exactly_the_limit_is_allowed_and_a_reset_counts_by_its_final_size() -> None:
    peer = World().connect(flow_control=ALL_LIMITS)
    session = peer.establish("/observe?id=a")
    stream = session.open_uni(bytes(5000))
    stream.reset_at(0x52E4A40FA8DB)
    session.open_uni(bytes(5240))
    peer.wait(peer.quic.acked)
    assert not session.done
    assert peer.fence(session, echo=False).held
    assert not session.done


def test_violation_leaves_other_sessions_alone() -> None:
    peer = World().connect(flow_control=ALL_LIMITS)
    bad, good = peer.establish(), peer.establish()
    bad.open_uni(bytes(10241))
    assert peer.wait(lambda: bad.reset_event is not None)
    assert bad.reset_event is not None
    assert bad.reset_event.error_code == WT.FLOW_CONTROL_ERROR
    assert peer.fence(good).held


def test_each_session_has_the_full_limit() -> None:
    peer = World().connect(flow_control=(2, 0, 1000))
    for _ in range(2):
        session = peer.establish("/push?uni=3")
        settle(session)
        assert len(session.incoming) == 2
        session.close()
        assert peer.wait(lambda session=session: session.ended)  # type: ignore[misc]


@pytest.mark.parametrize("draft", [Draft.D16, Draft.D14, Draft.D07, Draft.D02])
def test_without_flow_control_capsules_are_ignored_and_nothing_is_limited(draft: Draft) -> None:
    peer = World(drafts=[draft]).connect(draft)
    session = peer.establish("/push?uni=20&bidi=20&bytes=1000")
    for kind in sorted(capsules.FLOW_CONTROL_CAPSULES):
        for value in ((1 << 61), 5, 5):
            session.send_capsule_bytes(capsules.limit_capsule(kind, value))
    session.send_capsule(CapsuleType.WT_MAX_DATA, b"")
    assert peer.wait(lambda: sum(stream.ended for stream in session.incoming) == 40)
    for _ in range(30):
        session.open_uni(bytes(1000), end_stream=True)
    settle(session)
    assert limits_in(session) == []
    assert not session.done


def test_draft_14_switches_on_by_session_counts() -> None:
    peer = World(drafts=[Draft.D14]).connect(Draft.D14, replace_settings={0x14E9CD29: 2})
    session = peer.establish("/push?uni=1")
    settle(session)
    assert session.incoming == []


def test_draft_14_allows_equal_limits() -> None:
    peer = World(drafts=[Draft.D14]).connect(Draft.D14, flow_control=ALL_LIMITS)
    session = peer.establish()
    for _ in range(2):
        session.send_capsule_bytes(capsules.limit_capsule(CapsuleType.WT_MAX_STREAMS_UNI, 200))
    settle(session)
    assert not session.done


def test_two_to_the_sixtieth_is_allowed() -> None:
    peer = World().connect(flow_control=ALL_LIMITS)
    session = peer.establish()
    session.send_capsule_bytes(capsules.limit_capsule(CapsuleType.WT_MAX_STREAMS_BIDI, 1 << 60))
    session.send_capsule_bytes(capsules.limit_capsule(CapsuleType.WT_STREAMS_BLOCKED_BIDI, 1 << 60))
    settle(session)
    assert not session.done
