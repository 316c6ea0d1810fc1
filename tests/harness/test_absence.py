"""What an absent reaction is worth: nothing where the connection was gone before the window began."""

from __future__ import annotations

import pytest

from conformance.harness.case import Case
from conformance.harness.inmemory import memory_target
from conformance.harness.run import Run
from conformance.harness.target import Unsupported
from conformance.peer.drafts import Draft
from conformance.peer.h3frames import frame
from conformance.peer.model import ModelServer
from reports.judgement import ExpectRecord, judge_record
from reports.verdict import Verdict


def nothing(run: Run) -> None:
    """Stand for the function of a case."""


def closed_run() -> Run:
    """Return a run whose target has closed the connection before the next window begins."""
    case = Case("harness.absence", ("H3-9-01",), nothing)
    run = Run(case, memory_target("model", ModelServer), Draft.D16, twin=False)
    run.establish()
    run.control.send(frame(0x06, b""))
    run.peer.wait(lambda: run.peer.closed is not None)
    assert run.peer.closed is not None and run.peer.closed.by == "peer"
    run.mark()
    return run


def test_silence_on_a_connection_that_is_gone_is_no_pass() -> None:
    run = closed_run()
    run.expect("H3-9-01", "tolerated")
    (record,) = run.records
    assert isinstance(record, ExpectRecord)
    assert judge_record(record).verdict is Verdict.FAIL


def test_the_close_counts_once() -> None:
    run = closed_run()
    run.expect("H3-9-01", "connection-error", code=0x0105)
    (record,) = run.records
    assert isinstance(record, ExpectRecord)
    assert judge_record(record).verdict is Verdict.PASS
    assert len(record.events) == 1


def test_a_case_can_demand_the_connection() -> None:
    with pytest.raises(Unsupported, match="closed the whole connection"):
        closed_run().need_connection()
