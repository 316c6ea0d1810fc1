"""The kill matrix on all cores: one task for each deviant, merged in the order of the plan."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from conformance.deviants import all_deviants
from conformance.deviants.definition import Deviant
from conformance.deviants.matrix import Bench, Matrix, Plan
from conformance.harness.case import Case, load_cases

# Called with the number of deviants done and the one that was played last.
Progress = Callable[[int, str], None]

_bench: Bench | None = None


def _start(plan: Plan) -> None:
    global _bench
    # Ctrl-C reaches every process of the terminal; the one that merges decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wanted = set(plan.cases)
    _bench = Bench(plan, all_deviants(), [case for case in load_cases() if case.identifier in wanted])


def _ready() -> Bench:
    if _bench is None:
        raise RuntimeError("the worker was not started with a plan")
    return _bench


def _baselines(part: int, parts: int) -> Matrix:
    return _ready().baselines(part, parts)


def _deviant(identifier: str) -> Matrix:
    return _ready().deviant(identifier)


def compute_parallel(
    plan: Plan,
    deviants: Sequence[Deviant],
    cases: Sequence[Case],
    workers: int,
    progress: Progress = lambda _done, _name: None,
) -> Matrix:
    """Play a plan in so many processes; after Ctrl-C the matrix holds what was played, not ``complete``.

    ``deviants`` and ``cases``: those that the plan names.
    """
    matrix = Matrix([], list(cases), complete=plan.sample >= 1.0)
    # A fork would copy whatever threads the caller has.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(plan,))
    try:
        parts = range(workers) if plan.judge_cases else ()
        baselines = [pool.submit(_baselines, part, workers) for part in parts]
        tasks = [pool.submit(_deviant, item.id) for item in deviants]
        for baseline in baselines:
            matrix.merge(baseline.result())
        for item, task in zip(deviants, tasks, strict=True):
            matrix.merge(task.result())
            matrix.deviants.append(item)
            progress(len(matrix.deviants), item.id)
    except KeyboardInterrupt:
        matrix.complete = False
        matrix.interrupted = True
    finally:
        pool.shutdown(cancel_futures=True)
    return matrix
