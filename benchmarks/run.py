"""Compare the reference with other implementations, on this machine, in interleaved rounds.

`python benchmarks/run.py` prepares each peer (below `benchmarks/.environments`), runs every workload with
every peer in turn, and writes medians and ratios as Markdown and JSON. Absolute figures mean little; ratios
of one run do. Loads are bounded, traffic stays on the loopback interface. A run can be made in pieces
(`--workload`, `--rounds`): with `--append` the samples join those of the runs before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from implementations import HERE, PEERS, Peer, Unavailable, UnknownPeer, run, select
from measurement import CPU, WORKLOADS, Workload, measure
from progress import Progress, duration, say
from report import Results, as_json, markdown

SUBJECTS = ("reference", "reference core")
INTERRUPTED = 130


def main() -> int:
    """Run. Returns 1 if the reference, or a peer that was asked for by name, could not be measured."""
    arguments = _arguments()
    results = _earlier(arguments.out / "benchmarks.json") if arguments.append else Results()
    workloads = [item for item in WORKLOADS if not arguments.workload or item.name in arguments.workload]
    interrupted = False
    try:
        commands = prepare(arguments.peers, results)
        if arguments.prepare:
            return 1 if results.skipped else 0
        measure_all(arguments.peers, commands, workloads, arguments.rounds, results)
    except KeyboardInterrupt:
        say("interrupted: the results are those of what was done")
        interrupted = True
    if not arguments.prepare and results.samples:
        write(arguments.out, results)
    if interrupted:
        return INTERRUPTED
    wanted = {SUBJECTS[0], *(peer.name for peer in arguments.peers if arguments.peer)}
    return 1 if any(name in wanted for name in (*results.skipped, *results.failures)) else 0


def prepare(peers: list[Peer], results: Results) -> dict[str, list[str]]:
    """The commands of the peers that can be measured; the others are skipped with their reasons."""
    commands = {}
    for peer in peers:
        say(f"preparing {peer.name}")
        begin = time.monotonic()
        try:
            commands[peer.name] = peer.prepare()
            say(f"  ready after {duration(time.monotonic() - begin)}")
        except Unavailable as error:
            results.skipped[peer.name] = str(error)
            say(f"  skipped: {error}")
    return commands


def measure_all(
    peers: list[Peer],
    commands: dict[str, list[str]],
    workloads: list[Workload],
    rounds: int,
    results: Results,
) -> None:
    """All rounds, into the results."""
    ready = [peer for peer in peers if peer.name in commands]
    progress = Progress(workloads, ready, rounds)
    progress.begin()
    for peer in ready:
        wanted = {row.name: peer.cannot[row.name] for row in workloads if row.name in peer.cannot}
        results.cannot.setdefault(peer.name, {}).update(wanted)
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(Path(folder))
        for workload, peer in progress:
            results.load.append(os.getloadavg()[0])
            value, reason = None, ""
            with progress.run(workload, peer):
                try:
                    figures = measure(peer, commands[peer.name], workload, cert, key)
                    value = figures[workload.name]
                    for name, figure in figures.items():
                        results.add(name, peer.name, figure)
                except (Unavailable, subprocess.SubprocessError) as error:
                    reason = str(error)[-200:]
                    results.failures.setdefault(peer.name, []).append(f"{workload.name}: {reason}")
            progress.show(workload, peer, value, reason)


def write(out: Path, results: Results) -> None:
    """The table for the Python interface and that for the core, and all samples."""
    out.mkdir(parents=True, exist_ok=True)
    names = [peer.name for peer in PEERS]
    rows = [*WORKLOADS[:3], CPU, *WORKLOADS[3:]]
    measured = [row for row in rows if row.name in results.samples]
    tables = [markdown(names, measured, results, subject) for subject in SUBJECTS]
    (out / "benchmarks.md").write_text("\n".join(tables))
    text = json.dumps(as_json(names, measured, results, SUBJECTS[0]), indent=2)
    (out / "benchmarks.json").write_text(text + "\n")
    print(tables[0])


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, made with the openssl program."""
    cert, key = folder / "localhost.crt", folder / "localhost.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run(["openssl", "req", "-x509", *curve, *subject, "-days", "10", "-keyout", str(key), "-out", str(cert)])
    return cert, key


def _earlier(path: Path) -> Results:
    results = Results()
    if path.exists():
        found = json.loads(path.read_text())
        for workload, peers in found["workloads"].items():
            for name, figures in peers.items():
                for value in figures["samples"]:
                    results.add(workload, name, value)
        results.failures, results.load = found["failures"], found["load"]
        results.cannot = found.get("cannot", {})
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare implementations of WebTransport.",
        epilog="peers: " + ", ".join(peer.name for peer in PEERS),
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--peer", action="append", metavar="NAME", help="only peers whose names begin so (repeatable)"
    )
    parser.add_argument("--workload", action="append", choices=[item.name for item in WORKLOADS])
    parser.add_argument("--prepare", action="store_true", help="install and build the peers only")
    parser.add_argument("--append", action="store_true", help="add to the samples of the output folder")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    arguments = parser.parse_args()
    try:
        arguments.peers = select(arguments.peer or ())
    except UnknownPeer as error:
        parser.error(str(error))
    return arguments


if __name__ == "__main__":
    sys.exit(main())
