"""Access to the target of a run: start what has to be started, find where it answers, put a network between.

The steps are the same for ``run``, ``replay`` and ``fuzz``: a server of ours is started, a foreign one is
looked for, and with ``--network`` the impairment relay goes in between.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from conformance.harness.case import load_cases
from conformance.harness.probe import ProbeFailed
from conformance.harness.process import ProcessWatch
from conformance.harness.reach import reach
from conformance.harness.setup import check, endpoint_of, make_target, selected, start_embedded
from conformance.harness.target import Target
from conformance.options import InvalidOption, RunOptions
from reports.baseline import load_baseline
from scenarios.network.child import RelayFailed, RelayProcess
from scenarios.network.profiles import PROFILES


def validate(options: RunOptions) -> None:
    """Raise UserError or BaselineError for the first option that cannot be used; start nothing."""
    check(options)
    _network(options)
    if options.target_pid is not None:
        ProcessWatch(options.target_pid)
    if options.baseline is not None:
        load_baseline(options.baseline)
    selected(load_cases(), options)


def approach(options: RunOptions, stack: ExitStack) -> tuple[RunOptions, Target]:
    """Return the options with everything that was found or started, and the target, probed.

    The stack stops what was started. Raises InvalidOption, EmbeddedFailed and ProbeFailed, each with a text
    for the user.
    """
    found, target = reach(start_embedded(options, stack))
    if options.network is None:
        return found, target
    through = _relayed(found, stack)
    return through, replace(target, opener=make_target(through).opener)


def _network(options: RunOptions) -> tuple[str, int]:
    """Return name and seed of the network profile; raises InvalidOption for an unknown one."""
    name, _, seed = (options.network or "").partition(":")
    if options.network is not None and (name not in PROFILES or not (seed or "1").isdecimal()):
        known = ", ".join(PROFILES)
        raise InvalidOption(f"--network {options.network!r}: expected PROFILE[:SEED]; profiles are {known}")
    return name, int(seed or 1)


def _relayed(options: RunOptions, stack: ExitStack) -> RunOptions:
    name, seed = _network(options)
    host, port = endpoint_of(options)
    address = options.address or host
    try:
        relay = stack.enter_context(RelayProcess(PROFILES[name], seed, (address, port)))
    except RelayFailed as error:
        raise ProbeFailed(f"the relay for --network {name} did not start: {error}") from None
    local, local_port = relay.address
    return replace(options, address=None, connect_to=f"[{local}]:{local_port}")
