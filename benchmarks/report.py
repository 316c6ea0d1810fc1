"""Samples, medians, ratios, and the table."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass, field

from measurement import Workload


@dataclass
class Results:
    """Samples by workload and peer, and what could not be measured."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)
    """Processes that were ready to run before each round, besides the benchmark's own."""

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
    names = [name for name in names if name not in results.skipped]
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
    lines += [f"Skipped: {name} ({reason})." for name, reason in results.skipped.items()]
    lines += [f"Failed runs of {name}: {len(found)}." for name, found in results.failures.items()]
    return "\n".join(lines).rstrip() + "\n"


def machine(results: Results) -> str:
    """What the figures depend on."""
    text = f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, loopback interface."
    if results.load:
        text += f" Load average before the rounds: {statistics.median(results.load):.1f} (median)."
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
        "failures": results.failures,
    }
