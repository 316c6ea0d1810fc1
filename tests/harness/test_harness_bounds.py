"""Bounds of the load: pace, open connections, and what a case gets that needs more."""

from __future__ import annotations

import pytest

from conformance.harness.setup import most_workers
from conformance.options import RunOptions
from conformance.peer.bounds import LoadBounds, TooManyConnections


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_connections_are_started_at_the_pace() -> None:
    clock = Clock()
    bounds = LoadBounds(rate=4.0, clock=clock, sleep=clock.sleep)
    started = []
    for _ in range(3):
        bounds.opening()
        started.append(clock.now)
    assert started == [0.0, 0.25, 0.5]


def test_a_pause_saves_up_nothing() -> None:
    clock = Clock()
    bounds = LoadBounds(rate=4.0, clock=clock, sleep=clock.sleep)
    bounds.opening()
    clock.now = 10.0
    started = []
    for _ in range(2):
        bounds.opening()
        started.append(clock.now)
    assert started == [10.0, 10.25]


def test_one_more_connection_has_to_wait_for_an_end() -> None:
    bounds = LoadBounds(connections=2)
    bounds.opening()
    bounds.opening()
    with pytest.raises(TooManyConnections, match="2 connections are open"):
        bounds.opening()
    bounds.closed()
    bounds.opening()


def test_without_bounds_nothing_is_held_back() -> None:
    clock = Clock()
    bounds = LoadBounds(clock=clock, sleep=clock.sleep)
    for _ in range(100):
        bounds.opening()
    assert clock.now == 0.0


@pytest.mark.parametrize(("bound", "workers"), [(None, 4), (2, 1), (5, 2), (100, 4)])
def test_every_worker_has_a_connection_for_its_case_and_one_beside(bound: int | None, workers: int) -> None:
    assert most_workers(RunOptions(max_connections=bound), 4) == workers
