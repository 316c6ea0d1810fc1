"""A run with one case of each verdict, and with the strings that a hostile target would send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reports.judgement import (
    CheckRecord,
    ErrorRecord,
    ExpectRecord,
    InformationalRecord,
    NoteRecord,
    Record,
    SanityRecord,
    TwinRecord,
    UnsupportedRecord,
    judge_case,
)
from reports.model import CaseResult, Evidence, case_result, evidence, replay_file
from reports.store import RunWriter

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    "\x00\x1b[31m\x85\u202e\ud800\ufffe]]>&amp;'\""
)
META = {
    "suite_version": "0.1.0",
    "target": "https://localhost:4433/echo",
    "draft": "16",
    "time": "2026-11-22T17:00:00+00:00",
    "role": "server",
    "duration_s": 3.25,
}
ROWS = {
    "WT-4-06": {
        "level": "MUST",
        "source": "draft-ietf-webtrans-http3-16 §4",
        "text": "A session ID of no client-initiated bidirectional stream is a connection error H3_ID_ERROR.",
    },
    "H3-8-02": {"level": "SHOULD", "source": "RFC 9114 §8.1", "text": "Unknown error codes are H3_NO_ERROR."},
}


@dataclass(frozen=True)
class Sample:
    case: CaseResult
    evidence: Evidence
    replay: dict[str, Any]


def closed(code: int) -> dict[str, Any]:
    return {"kind": "connection_closed", "application": True, "code": code, "by": "peer"}


def expect(code: int | None, **members: Any) -> ExpectRecord:
    fields: dict[str, Any] = {
        "requirement": "WT-4-06",
        "level": "MUST",
        "set_name": "connection-error",
        "set_version": 1,
        "params": {"code": 0x108},
        "window_s": 2.0,
        "ended_by": "deadline" if code is None else "event",
        "events": () if code is None else (closed(code),),
    }
    return ExpectRecord(**{**fields, **members})


RECORDS: dict[str, list[Record]] = {
    "pass": [SanityRecord(phase="before", ok=True), TwinRecord(ok=True), expect(0x108)],
    "non_strict": [TwinRecord(ok=True), expect(0x101), NoteRecord(text="the general code")],
    "fail": [TwinRecord(ok=True), expect(None, confirmed=True), SanityRecord(phase="after", ok=True)],
    "unsupported": [UnsupportedRecord(kind="not negotiated", proof="SETTINGS without 0x2b61")],
    "inconclusive": [ErrorRecord(what="own side closed", text="aioquic")],
    "informational": [InformationalRecord(requirement="H3-8-02", text="opens three streams", observed=3)],
}
HOSTILE_RECORDS: list[Record] = [
    CheckRecord(
        requirement="WT-4-06", level="MUST", name=HOSTILE, operator="==", expected="x", observed=HOSTILE
    ),
    NoteRecord(text=HOSTILE),
]


def wire_log(count: int = 12) -> list[dict[str, Any]]:
    """Return a wire log with one event of each layer, then data frames up to ``count`` events."""
    base: list[dict[str, Any]] = [
        {"name": "QuicPacket", "layer": "quic", "packet_type": "1rtt", "packet_number": 7, "size": 1200},
        {"name": "Settings", "layer": "h3", "stream_id": 3, "entries": [[51, 1], [0x2C7CF000, 1]]},
        {"name": "FieldSection", "layer": "h3", "stream_id": 0, "fields": [["3a737461747573", "323030"]]},
        {"name": "WtStream", "layer": "wt", "stream_id": 2, "session_id": 0, "bidirectional": False},
        {"name": "StreamReset", "layer": "quic", "stream_id": 2, "error_code": 0x10E, "final_size": 0},
        {"name": "ConnectionClosed", "layer": "quic", "by": "peer", "error_code": 0x108, "frame_type": None,
         "reason": HOSTILE},
    ]  # fmt: skip
    data = {"name": "StreamData", "layer": "quic", "stream_id": 0, "data": "00ff", "data_length": 2}
    events = [*base, *(dict(data) for _ in range(count - len(base)))]
    return [
        {"time": number / 1000, "direction": "sent" if number % 2 else "received", **event}
        for number, event in enumerate(events)
    ]


def sample(case_id: str, records: list[Record], events: int = 12, title: str = "A title") -> Sample:
    judged = judge_case(case_id, records)
    case = case_result(
        judged,
        case_id=case_id,
        rows=ROWS,
        draft="16",
        duration_s=0.125,
        replay=f"wtconform run https://localhost:4433/ --select {case_id}",
        title=title,
        description="What is sent and what the text says (§4).",
    )
    logs = [{"label": "case", "events": wire_log(events)}, {"label": "positive twin", "events": wire_log(6)}]
    kept = evidence(case, records, logs, max_events=40)
    return Sample(case, kept, replay_file(case, target={"url": "https://localhost:4433/"}))


@pytest.fixture
def samples() -> list[Sample]:
    """One case of each verdict, and a hostile one with a long wire log."""
    listed = [
        sample(f"{'streams-uni' if number % 2 else 'capsules'}.case-{name.replace('_', '-')}", records)
        for number, (name, records) in enumerate(RECORDS.items())
    ]
    return [*listed, sample("errors.hostile", HOSTILE_RECORDS, events=60, title=HOSTILE)]


@pytest.fixture
def write_run(tmp_path: Path, samples: list[Sample]) -> Callable[..., Path]:
    """Return a function that writes a run directory with the samples."""

    def write(name: str = "out", chosen: list[Sample] | None = None, **meta: Any) -> Path:
        directory = tmp_path / name
        writer = RunWriter(directory, {**META, **meta})
        for item in samples if chosen is None else chosen:
            writer.add(item.case, item.evidence, item.replay)
        writer.finish()
        return directory

    return write
