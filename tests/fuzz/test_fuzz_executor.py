"""Scripts on the fault-free server and on deviants, over the network in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.harness.target import Target
from conformance.peer.codepoints import CapsuleType, FrameType, reserved
from conformance.peer.drafts import DRAFTS, Draft
from fuzz import operations as op
from fuzz.executor import Executor
from fuzz.machines.capsules import PLENTY, TIGHT
from fuzz.requests import REQUESTS
from fuzz.violations import Found

STREAMS = (op.OpenStream(0, data=b"a", fin=True), op.OpenStream(1, bidi=False, data=b"b", fin=True))


def play(
    target: Target,
    *operations: op.Operation,
    limits: tuple[int, int, int] | None = None,
    draft: Draft = Draft.D16,
    patient: bool = False,
) -> Found | None:
    executor = Executor(target, draft, patient=patient)
    try:
        return executor.run([op.Connect(limits), op.Establish(), *operations])
    finally:
        executor.drop()


VALID: dict[str, tuple[op.Operation, ...]] = {
    "streams": (*STREAMS, op.Datagram(b"d"), op.Fence(), op.OpenStream(2, data=b"x" * 5000, pieces=3)),
    "late streams": (*STREAMS, op.Close(3, b"bye"), op.OpenStream(5, data=b"late"), op.Datagram(b"late")),
    "resets": (
        op.OpenStream(0, data=b"a"),
        op.ResetAt(0, 0x52E4A40FA8DB),
        op.OpenStream(1, data=b"b"),
        op.Stop(1, 7),
        op.OpenStream(2, bidi=False),
        op.Reset(2, 1),
        *(op.OpenStream(9, bidi=False, data=b"q", fin=True),),
    ),
    "extensions": (
        op.Frame("connect", reserved(1), b"x"),
        op.Frame("control", reserved(2)),
        op.OtherUni(reserved(3)),
        op.Capsule(reserved(4), b"value", pieces=3),
        op.Drain(),
        op.Delay(5),
    ),
    "open streams at the end": (
        op.OpenStream(0, data=b"a"),
        op.OpenStream(1, bidi=False, data=b"b"),
        op.Close(),
    ),
    "identifiers": (
        op.Frame("control", FrameType.GOAWAY, b"\x08"),
        op.Frame("control", FrameType.GOAWAY, b"\4"),
    ),
}
INVALID: dict[str, tuple[op.Operation, ...]] = {
    "session id": (op.OpenStream(0, bidi=False, session_offset=1),),
    "frame": (op.Frame("control", FrameType.HEADERS, b"x"),),
    "datagram": (op.RawDatagram(b""),),
    "critical": (op.EndCritical("control"),),
    "close": (op.Close(0, b"\xff"),),
    "cut": (op.Capsule(reserved(3), b"x", missing=3),),
}


@pytest.mark.parametrize("name", [*VALID, *INVALID])
@pytest.mark.parametrize("draft", DRAFTS)
def test_the_model_server_does_as_the_model_says(model: Target, name: str, draft: Draft) -> None:
    assert play(model, *{**VALID, **INVALID}[name], draft=draft) is None


@pytest.mark.parametrize("limits", [PLENTY, TIGHT])
@pytest.mark.parametrize("draft", [Draft.D16, Draft.D14])
def test_flow_control(model: Target, limits: tuple[int, int, int], draft: Draft) -> None:
    assert play(model, *STREAMS, op.Limit("uni", 500), op.Fence(), limits=limits, draft=draft) is None
    assert play(model, op.Limit("data", 300_000), op.Limit("data", 2), limits=limits, draft=draft) is None
    for kind in ("uni", "bidi"):
        assert play(model, *STREAMS, op.Overrun(kind, 1), limits=limits, draft=draft) is None


@pytest.mark.parametrize("variant", REQUESTS)
def test_requests(model: Target, variant: str) -> None:
    assert play(model, op.Request(variant), *STREAMS, limits=PLENTY) is None


@pytest.mark.parametrize(
    ("identifier", "operations", "rule"),
    [
        ("skip.uni-session-id", (op.OpenStream(0, bidi=False, session_offset=3),), "WT-4-06"),
        ("skip.control-http2-frame", (op.Frame("control", 2),), "H3-7.2-09"),
        ("skip.close-too-short", (op.Capsule(CapsuleType.WT_CLOSE_SESSION, b"x"),), "WT-6-15"),
        ("skip.max-data-equal", (op.Limit("data", 300_000), op.Limit("data", 300_000)), "WT-5.6.4-04"),
        ("skip.streams-uni-exceeded", (op.Overrun("uni", 1),), "WT-5.6.2-07"),
        ("skip.field-te", (op.Request("te-gzip"),), "H3-4.2-03"),
        ("forbid.capsule-unknown", (op.Capsule(reserved(3)),), "session-lives"),
        ("raise.unknown-uni-stream", (op.OtherUni(reserved(3)),), "connection-lives"),
        ("datagrams.as-text", (op.Datagram(b"\xff"),), "WT-4.5-01"),
        ("streams.uni-as-text", (op.OpenStream(0, bidi=False, data=b"\xff", fin=True),), "echo-differs"),
        ("streams.not-stopped", (op.OpenStream(0, data=b"a"), op.Close()), "WT-6-02"),
        ("close.unanswered", (op.Close(),), "WT-6-18"),
    ],
)
def test_faults_are_found(
    deviant: Callable[[str], Target], identifier: str, operations: tuple[op.Operation, ...], rule: str
) -> None:
    for patient in (False, True):
        found = play(deviant(identifier), *operations, limits=PLENTY, patient=patient)
        assert found is not None and found.violation.rule == rule


def test_sessions_share_a_connection(model: Target) -> None:
    executor = Executor(model, Draft.D16)
    try:
        for _ in range(5):
            executor.begin()
            for operation in STREAMS:
                executor.do(operation)
            executor.end()
        assert (executor.sessions, executor.operations) == (5, 10)
        assert executor.peer is not None and len(executor.peer.sessions) == 5
    finally:
        executor.drop()
