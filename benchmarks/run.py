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
from pathlib import Path

from implementations import HERE, PEERS, Peer, Unavailable, run
from measurement import CPU, WORKLOADS, Workload, measure
from report import Results, as_json, markdown

SUBJECTS = ("reference", "reference core")


def main() -> int:
    """Run. Returns 1 if the reference itself could not be measured."""
    arguments = _arguments()
    peers = [peer for peer in PEERS if not arguments.peer or peer.name in arguments.peer]
    results = _earlier(arguments.out / "benchmarks.json") if arguments.append else Results()
    commands = prepare(peers, results)
    workloads = [item for item in WORKLOADS if not arguments.workload or item.name in arguments.workload]
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(Path(folder))
        for number in range(0 if arguments.prepare else arguments.rounds):
            results.load.append(os.getloadavg()[0])
            for workload in workloads:
                for peer in peers:
                    if peer.name in commands:
                        sample(peer, commands[peer.name], workload, cert, key, results)
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    if not arguments.prepare:
        write(arguments.out, results)
    return 0 if SUBJECTS[0] not in results.skipped else 1


def prepare(peers: list[Peer], results: Results) -> dict[str, list[str]]:
    """The commands of the peers that can be measured; the others are skipped with their reasons."""
    commands = {}
    for peer in peers:
        try:
            commands[peer.name] = peer.prepare()
        except Unavailable as error:
            results.skipped[peer.name] = str(error)
            print(f"{peer.name}: skipped, {error}", file=sys.stderr)
    return commands


def sample(
    peer: Peer, command: list[str], workload: Workload, cert: Path, key: Path, results: Results
) -> None:
    """One run, into the results."""
    try:
        for name, value in measure(peer, command, workload, cert, key).items():
            results.add(name, peer.name, value)
    except (Unavailable, subprocess.SubprocessError) as error:
        results.failures.setdefault(peer.name, []).append(f"{workload.name}: {str(error)[-200:]}")
        print(f"{peer.name}, {workload.name}: {error}", file=sys.stderr)


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
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare implementations of WebTransport.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", action="append", help="only these (repeatable)")
    parser.add_argument("--workload", action="append", choices=[item.name for item in WORKLOADS])
    parser.add_argument("--prepare", action="store_true", help="install and build the peers only")
    parser.add_argument("--append", action="store_true", help="add to the samples of the output folder")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
