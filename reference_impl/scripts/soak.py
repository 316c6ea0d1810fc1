"""Sessions in large numbers between a client and the interop server, each in a process of its own.

`python scripts/soak.py` opens, uses and closes sessions a few at a time, then keeps many open at once and
aborts them at random: streams reset or stopped, sessions closed while they are used, tasks cancelled. Every
byte that is echoed is compared. It fails if a byte differs, if either process has more memory at the end than
it may (against what it held after the first sessions), or if a task, a thread or a session is left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pywebtransport import ClientConfig, WebTransportClient, WebTransportSession
from pywebtransport.exceptions import WebTransportError

# The interop server, which gives back what it does not use when it is asked.
SERVE = """
import ctypes, gc, signal, sys
from pywebtransport.interop.__main__ import main
signal.signal(signal.SIGUSR1, lambda *_: (gc.collect(), ctypes.CDLL(None).malloc_trim(0)))
sys.exit(main())
"""
MAX_BODY = 65_536
# Sessions after which memory is looked at for the first time
WARM_UP = 1000
ABORTED_CODE = 7
# Seconds; connections that have ended are kept for three probe time-outs (RFC 9000 §10.2).
DRAINING = 1.0
# Seconds in which all connections are gone: the idle time-out is 60
QUIET = 75
MEGABYTE = 1e6


@dataclass
class Tally:
    """What was done, and what went wrong."""

    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def check(self, condition: bool, text: str) -> None:
        """Note a fault unless the condition holds."""
        if not condition:
            self.faults.append(text)


class Status:
    """A session that asks the server how it is, the same one all the time."""

    def __init__(self, session: WebTransportSession) -> None:
        self._session = session

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, url: str) -> AsyncIterator[Status]:
        """The status of the server at a URL."""
        config = ClientConfig(verify_mode=ssl.CERT_NONE, keep_alive_interval=5.0)
        async with WebTransportClient(config=config) as client:
            yield cls(await client.connect(url=url + "status"))

    async def ask(self) -> dict[str, Any]:
        """The answer."""
        stream = await self._session.create_bidirectional_stream()
        await stream.write(data=b"", end_stream=True)
        answer: dict[str, Any] = json.loads(await stream.read_all())
        return answer


@dataclass
class Memory:
    """Resident memory of both processes, in bytes: after the first sessions, and at the end."""

    pids: dict[str, int]
    status: Status
    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    async def look(self) -> dict[str, int]:
        """What they hold when nothing goes on, and what is free was given back to the system."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        os.kill(self.pids["server"], signal.SIGUSR1)
        # Once this is answered, the server has seen the signal
        await self.status.ask()
        return {name: resident(pid) for name, pid in self.pids.items()}

    async def judge(self, tally: Tally, tolerance: float) -> str:
        """Note growth beyond the tolerance; the figures as text."""
        self.last = await self.look()
        for name, before in self.first.items():
            grown = self.last[name] / before - 1
            tally.check(grown <= tolerance, f"the {name} grew by {grown:.1%}")
        return ", ".join(
            f"{name} {self.first[name] / MEGABYTE:.1f} → {self.last[name] / MEGABYTE:.1f} MB"
            for name in self.first
        )


def resident(pid: int) -> int:
    """Resident memory of a process in bytes (Linux)."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def threads(pid: int) -> int:
    """Threads of a process (Linux)."""
    return len(os.listdir(f"/proc/{pid}/task"))


async def threads_end(alone: int) -> bool:
    """Whether all threads but so many end; the system may need a moment for the last one."""
    for _ in range(100):
        if threads(os.getpid()) <= alone:
            return True
        await asyncio.sleep(0.05)
    return False


# --- one session ---


async def use(session: WebTransportSession, chance: random.Random, tally: Tally) -> None:
    """Have streams of both kinds and a datagram echoed."""
    for _ in range(chance.randint(1, 3)):
        body = chance.randbytes(chance.randrange(MAX_BODY))
        stream = await session.create_bidirectional_stream()
        await stream.write_all(data=body, end_stream=True)
        tally.check(await stream.read_all() == body, f"a stream of {len(body)} bytes came back changed")
        tally.done["streams"] += 1
        tally.done["bytes"] += len(body)
    await session.send_datagram(data=chance.randbytes(100))
    body = chance.randbytes(chance.randrange(MAX_BODY))
    out = await session.create_unidirectional_stream()
    await out.write_all(data=body, end_stream=True)
    back = await session.accept_unidirectional_stream()
    tally.check(await back.read_all() == body, f"a stream of {len(body)} bytes came back changed")
    tally.done["streams"] += 1
    tally.done["bytes"] += len(body)


async def abort(session: WebTransportSession, chance: random.Random) -> None:
    """Leave something in the middle."""
    stream = await session.create_bidirectional_stream()
    await stream.write(data=chance.randbytes(chance.randrange(MAX_BODY)))
    kind = chance.randrange(5)
    if kind == 0:
        await stream.reset(error_code=ABORTED_CODE)
    elif kind == 1:
        await stream.stop_receiving(error_code=ABORTED_CODE)
    elif kind == 2:
        await stream.close(error_code=ABORTED_CODE)
    elif kind == 3:
        await session.close(error_code=ABORTED_CODE, reason="aborted")


# --- the two parts ---


async def one(client: WebTransportClient, url: str, chance: random.Random, tally: Tally) -> None:
    """A session from its beginning to its end."""
    async with await client.connect(url=url) as session:
        await use(session, chance, tally)
    tally.done["sessions"] += 1


async def torment(client: WebTransportClient, url: str, chance: random.Random, tally: Tally) -> None:
    """A session that may be aborted, or whose task may be cancelled."""
    fate = chance.random()
    limit = chance.uniform(0, 0.3) if fate < 0.2 else None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit), await client.connect(url=url) as session:
            if fate < 0.5:
                await abort(session, chance)
                tally.done["aborted"] += 1
            else:
                await use(session, chance, tally)
    tally.done["sessions"] += 1


Part = Callable[[WebTransportClient, str, random.Random, Tally], Awaitable[None]]


async def workers(
    client: WebTransportClient,
    count: int,
    part: Part,
    go_on: Callable[[], bool],
    url: str,
    seed: str,
    tally: Tally,
) -> None:
    """Play sessions with `count` tasks as long as `go_on` says."""

    async def work(number: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        while go_on():
            try:
                await part(client, url, chance, tally)
            except WebTransportError as error:
                tally.faults.append(f"{type(error).__name__}: {error}")

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(work(number))


async def rest(client: WebTransportClient, status: Status, tally: Tally) -> None:
    """Wait until the client has no connection, and the server none but the one that asks.

    Of a connection that was given up, the server may hear nothing more: it ends with its idle time-out.
    """
    for _ in range(QUIET):
        states = (await client.diagnostics()).connection_states
        there = (await status.ask())["metrics"]
        if not states and there["connections"] <= 1 and there["sessions"] <= 1:
            await asyncio.sleep(DRAINING)
            return
        await asyncio.sleep(1)
    tally.faults.append(f"left are connections {states} here, {there} on the server")


def counted(limit: int) -> Callable[[], bool]:
    """True so many times."""
    left = iter(range(limit))
    return lambda: next(left, None) is not None


async def sequential(
    given: argparse.Namespace, client: WebTransportClient, url: str, tally: Tally, memory: Memory
) -> None:
    """Part one: the first sessions warm up, the others must not need more memory."""
    first = min(WARM_UP, given.sessions // 2)
    for count, name in ((first, "first"), (given.sessions - first, "rest")):
        go_on = counted(count)
        await workers(client, given.concurrency, one, go_on, url + "echo", f"{given.seed}-{name}", tally)
        await rest(client, memory.status, tally)
        memory.first = memory.first or await memory.look()
    tally.check(tally.done["sessions"] == given.sessions, f"{tally.done['sessions']} sessions came to an end")


async def together(
    given: argparse.Namespace, client: WebTransportClient, url: str, tally: Tally, memory: Memory
) -> None:
    """Part two: the same for many at once, with aborts. The first sessions are so many as in part one."""
    for name in ("first", "rest"):
        # The seconds count from here: the rest after the first sessions takes a minute
        go_on = counted(WARM_UP) if name == "first" else lasting(given.seconds)
        await workers(client, given.together, torment, go_on, url + "echo", f"{given.seed}-t-{name}", tally)
        await rest(client, memory.status, tally)
        memory.first = memory.first or await memory.look()


def lasting(seconds: float) -> Callable[[], bool]:
    """True so long."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[tuple[str, int]]:
    """The interop server in a process of its own: URL and process id."""
    command = [sys.executable, "-c", SERVE, "--host", "127.0.0.1", "--port", "0"]
    command += ["--max-connections", "5000", "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if line.startswith("listening on "))
            yield line.split()[2], process.pid
        finally:
            process.terminate()


async def main(given: argparse.Namespace) -> int:
    """Returns 0 if nothing is wrong."""
    report, code = [], 0
    async with server() as (url, pid), Status.of(url) as status:
        alone = threads(os.getpid())
        for part in (sequential, together):
            if not (given.sessions if part is sequential else given.seconds):
                continue
            tally, memory = Tally(), Memory({"client": os.getpid(), "server": pid}, status)
            begin = time.monotonic()
            config = ClientConfig(verify_mode=ssl.CERT_NONE, max_connections=10 * given.together)
            async with WebTransportClient(config=config) as client:
                await part(given, client, url, tally, memory)
                took = time.monotonic() - begin
                await rest(client, memory.status, tally)
                figures = await memory.judge(tally, given.tolerance)
            tasks = len(asyncio.all_tasks()) - 1
            tally.check(tasks == 0, f"{tasks} tasks are left")
            tally.check(await threads_end(alone), f"threads are left: {threads(os.getpid()) - alone}")
            done = dict(sorted(tally.done.items()))
            report.append({"part": part.__name__, "seconds": round(took, 1), **done, "memory": figures})
            print(json.dumps(report[-1], ensure_ascii=False), flush=True)
            for fault, times in Counter(tally.faults).most_common(20):
                print(f"FAULT {times} x {fault}", flush=True)
            code = code or int(bool(tally.faults))
    return code


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    result.add_argument("--sessions", type=int, default=10_000, help="one after the other; 0: not this part")
    result.add_argument("--concurrency", type=int, default=8, help="of these at once")
    result.add_argument("--together", type=int, default=200, help="sessions at once in the second part")
    result.add_argument("--seconds", type=float, default=600.0, help="of the second part; 0: not this part")
    result.add_argument("--tolerance", type=float, default=0.05, help="growth of memory that is allowed")
    result.add_argument("--seed", type=int, default=1)
    return result


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(parser().parse_args())))
    except KeyboardInterrupt:
        sys.exit(130)
