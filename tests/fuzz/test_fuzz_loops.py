"""The other loops: mutated recordings, packets from elsewhere, two targets, games, further oracles."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from conformance.harness.process import resident
from conformance.harness.target import Target
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import ModelServer
from conformance.peer.openers import UdpOpener
from conformance.peer.quic.udp import UdpLink
from fuzz import operations as op
from fuzz.campaign import Campaign
from fuzz.differential import Differential
from fuzz.executor import Executor
from fuzz.findings import Finding
from fuzz.machines import MACHINES, ROUNDS
from fuzz.machines.mutation import RECORDED
from fuzz.mutate import MUTATIONS, mutated, play_raw, recorded
from fuzz.oracles import Innocent, Memory
from fuzz.packets import FORMS, PacketSender
from fuzz.replay import compare
from fuzz.violations import Violation
from reports.files import RunError

SESSION = (op.Connect(), op.Establish(), *RECORDED)


@pytest.fixture(scope="module")
def recording(model: Target) -> op.Script:
    executor = Executor(model, Draft.D16)
    assert executor.run(SESSION) is None
    assert executor.peer is not None
    script = recorded(event.as_json() for event in executor.peer.events)
    executor.drop()
    return script


@contextmanager
def served(model: Target) -> Iterator[Target]:
    """Serve the model over UDP."""
    stop = threading.Event()
    link = UdpLink.server(ModelServer(drafts=DRAFTS), ("127.0.0.1", 0))
    thread = threading.Thread(target=link.serve, args=(stop,))
    thread.start()
    try:
        url = f"https://127.0.0.1:{link.address[1]}/echo"
        opener = UdpOpener(url=url, quic={"insecure": True})
        yield Target(name="model over UDP", opener=opener, declared_draft=16).with_capabilities(
            model.capabilities
        )
    finally:
        stop.set()
        thread.join()
        link.close()


def test_a_recording_plays_as_it_is(model: Target, recording: op.Script) -> None:
    assert op.is_raw(recording)
    assert {item.stream for item in recording if isinstance(item, op.RawStream)} >= {0, 2, 4}
    assert any(isinstance(item, op.RawDatagram) for item in recording)
    assert play_raw(model, Draft.D16, recording) is None


def test_mutations_are_repeatable_and_survived(model: Target, recording: op.Script) -> None:
    assert mutated(4, recording) == mutated(4, recording)
    assert len({mutated(seed, recording) for seed in range(30)}) > 20
    for seed in range(12):
        assert play_raw(model, Draft.D16, mutated(seed, recording)) is None


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_mutation_changes_something(recording: op.Script, name: str) -> None:
    steps = list(recording[1:])
    results = [MUTATIONS[name](random.Random(seed), list(steps), list(steps)) for seed in range(20)]
    assert any(result != steps for result in results)


def test_a_mutation_of_nothing_is_nothing() -> None:
    assert mutated(1, (op.Connect(raw=True),)) == (op.Connect(raw=True),)


def test_every_form_of_packet_is_built() -> None:
    assert tuple(FORMS) == op.PACKET_FORMS
    for name, form in FORMS.items():
        first = form(random.Random(3), bytes(8), bytes(range(100)))
        assert first == form(random.Random(3), bytes(8), bytes(range(100))), name
        assert isinstance(form(random.Random(4), b"", b""), bytes)


def test_packets_do_not_disturb_a_session(model: Target) -> None:
    with served(model) as target:
        executor = Executor(target, Draft.D16)
        packets = tuple(op.Packet(form, seed) for form in op.PACKET_FORMS for seed in range(2))
        noise = (op.OpenStream(0, data=b"a" * 2000, fin=True), op.Fence(), *packets, op.Fence())
        found = executor.run((op.Connect(), op.Establish(), *noise, op.OpenStream(1, data=b"b", fin=True)))
        executor.drop()
        assert found is None


def test_amplification_is_counted() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        sender = PacketSender(UdpOpener(url=f"https://127.0.0.1:{server.getsockname()[1]}/"))
        assert sender.possible and sender.check() is None
        sender.sent = 100
        server.connect(sender._socket.getsockname())  # type: ignore[union-attr]
        server.send(bytes(301))
        violation = sender.check()
        sender.close()
        assert violation is not None and violation.rule == "amplification"


def test_targets_in_memory_get_no_packets(model: Target) -> None:
    sender = PacketSender(model.opener)
    assert not sender.possible
    assert sender.check() is None
    sender.close()


def test_two_equal_targets_do_not_differ(model: Target) -> None:
    pair = Differential(model, model, Draft.D16)
    assert pair.check((*SESSION[:2], op.OpenStream(0, data=b"x", fin=True), op.Request("get"))) is None
    pair.close()


def test_a_difference_is_named(model: Target, deviant: Callable[[str], Target]) -> None:
    pair = Differential(model, deviant("forbid.capsule-unknown"), Draft.D16)
    violation = pair.check((*SESSION[:2], op.Capsule(0x21), op.OpenStream(0, data=b"x", fin=True)))
    pair.close()
    assert violation is not None and violation.rule == "differs-session"
    with pytest.raises(RunError, match="two targets"):
        compare(Finding(violation, SESSION, Draft.D16).as_replay(), model)


def test_games_end_as_the_draft_says(model: Target) -> None:
    executor = Executor(model, Draft.D16)
    for extra in ((), (op.BatonMessage("datagram", 7),), (op.BatonMessage("uni", 3, cut=1),)):
        assert executor.run((op.Connect(), op.Establish(), op.Baton(253, 2, 1), *extra)) is None
    executor.drop()


def test_a_game_that_goes_wrong_is_found(deviant: Callable[[str], Target]) -> None:
    executor = Executor(deviant("baton.plus-two"), Draft.D16)
    found = executor.run((op.Connect(), op.Establish(), op.Baton(253)))
    executor.drop()
    assert found is not None and found.violation.oracle == "baton"


@pytest.mark.parametrize("name", MACHINES)
def test_each_machine_plays_on_the_fault_free_server(model: Target, name: str) -> None:
    assert name in ROUNDS
    ticks = iter(range(1_000_000))
    run = Campaign(model, Draft.D16, seed=2, machines=(name,), max_time=150, clock=lambda: float(next(ticks)))
    assert run.run() == []
    assert run.statistics.operations > 0 and not run.statistics.unconfirmed


def test_the_innocent_session_notices(model: Target) -> None:
    innocent = Innocent(model, Draft.D16)
    assert innocent.check() is None and innocent.check() is None
    assert innocent.slow() is None and len(innocent.latencies) == 2
    innocent.close()


def test_memory_of_a_process() -> None:
    memory = Memory(os.getpid())
    assert memory.check() is None
    memory.first = 1
    assert memory.check() is None  # a small process may grow
    memory.first = -(1 << 40)
    assert memory.check() == Violation("memory", "memory", "grown", memory.check().text)  # type: ignore[union-attr]
    assert resident(1 << 22) is None
    gone = Memory(1 << 22).check()
    assert gone is not None and gone.oracle == "crash"
