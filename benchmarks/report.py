"""Samples, medians, ratios, and the table."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

from measurement import Workload


@dataclass
class Results:
    """Samples by workload and peer, and what could not be measured."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    """What went wrong with the runs of a peer, each with its workload."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Peers that could not be had, with the reason."""
    cannot: dict[str, dict[str, str]] = field(default_factory=dict)
    """By peer and workload, why there is nothing to measure."""
    load: list[float] = field(default_factory=list)
    """Load average before each run, the benchmark's own processes included."""

    def add(self, workload: str, peer: str, value: float) -> None:
        """A sample of one round."""
        self.samples.setdefault(workload, {}).setdefault(peer, []).append(value)

    def median(self, workload: str, peer: str) -> float | None:
        """The median of the rounds, `None` without a sample."""
        values = self.samples.get(workload, {}).get(peer)
        return statistics.median(values) if values else None

    def rounds(self) -> int:
        """The number of samples of what was measured most."""
        return max((len(values) for peers in self.samples.values() for values in peers.values()), default=0)


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """Ours by theirs, as the metric is: above 1 is better where more is, below 1 where less is."""
    return None if ours is None or not theirs else ours / theirs


def markdown(names: list[str], workloads: list[Workload], results: Results, subject: str) -> str:
    """A table with a row per peer: medians, and in brackets `subject` by this peer."""
    names = [name for name in names if any(name in peers for peers in results.samples.values())]
    lines = [f"Medians of {results.rounds()} interleaved rounds; in brackets: {subject} / this peer.", ""]
    lines.append("| | " + " | ".join(names) + " |")
    lines.append("|---" * (len(names) + 1) + "|")
    for workload in workloads:
        ours = results.median(workload.name, subject)
        cells = []
        for name in names:
            value = results.median(workload.name, name)
            share = ratio(ours, value) if name != subject else None
            text = "–" if value is None else number(value / workload.unit)
            cells.append(text if share is None else f"{text} ({share:.2f})")
        better = "more" if workload.more_is_better else "less"
        lines.append(f"| {workload.title}, {better} is better | " + " | ".join(cells) + " |")
    lines += ["", machine(results)]
    notes = missing(results)
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines).rstrip() + "\n"


def missing(results: Results) -> list[str]:
    """What is not in the table, and why: a line for each peer and reason."""
    notes = [f"{name}: skipped, {reason}" for name, reason in results.skipped.items()]
    for name, reasons in results.cannot.items():
        notes += [f"{name}, {workload}: {reason}" for workload, reason in reasons.items()]
    for name, found in results.failures.items():
        for reason, count in Counter(found).items():
            notes.append(f"{name}, {reason} ({'once' if count == 1 else f'{count} times'})")
    return notes


def machine(results: Results) -> str:
    """What the figures depend on."""
    text = f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, loopback interface."
    if results.load:
        load = statistics.median(results.load)
        text += f" Load average before the runs, their own included: {load:.1f} (median)."
    return text


def number(value: float) -> str:
    """Three significant digits, and separators from a thousand on."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def as_json(names: list[str], workloads: list[Workload], results: Results, subject: str) -> dict[str, object]:
    """Samples, medians and ratios."""
    table = {}
    for workload in workloads:
        ours = results.median(workload.name, subject)
        table[workload.name] = {
            name: {
                "samples": results.samples.get(workload.name, {}).get(name, []),
                "median": (median := results.median(workload.name, name)),
                "reference_ratio": ratio(ours, median),
            }
            for name in names
        }
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(results),
        "load": results.load,
        "workloads": table,
        "skipped": results.skipped,
        "cannot": results.cannot,
        "failures": results.failures,
    }
