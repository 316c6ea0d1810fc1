"""Reaching a target: the address and the path at which it answers, and what it offers there.

A host name may have several addresses of which only some are served (``localhost`` is ``::1`` and
``127.0.0.1``), and a URL without a path stands for the endpoint ``/echo``, or for ``/`` where the target
has no ``/echo``. What was found is noted in the options, so that all workers of a run talk to the same place.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from urllib.parse import urlsplit

from conformance.harness.embedded import CONTRACT_PATHS
from conformance.harness.probe import ProbeFailed, probe
from conformance.harness.setup import ALL, endpoint_of, make_target, may_disrupt
from conformance.harness.target import ABSENT, Target
from conformance.options import InvalidOption, RunOptions
from conformance.peer.drafts import Draft, newest
from conformance.peer.options import ConnectFailed, FailureClass, SessionRefused

# Failures after which another address of the same host may still answer.
ELSEWHERE: tuple[FailureClass, ...] = ("unreachable", "timeout")
ROOT_PATH = "/"


def reach(options: RunOptions) -> tuple[RunOptions, Target]:
    """Return the options with address and path of the target, and the target with its capabilities.

    Raises ProbeFailed where no session can be had, InvalidOption for options that cannot be used.
    """
    failed: ProbeFailed | None = None
    for address in addresses(options):
        located = replace(options, address=address)
        try:
            return _present(*_probed(located))
        except ProbeFailed as error:
            # The first address that answers at all has the most to say about what is wrong.
            if error.reason_class not in ELSEWHERE:
                raise
            failed = failed or error
    assert failed is not None
    raise failed


def _probed(options: RunOptions) -> tuple[RunOptions, Target]:
    target = make_target(options)
    try:
        return options, target.with_capabilities(probe(target))
    except ProbeFailed as error:
        if error.status is None or urlsplit(options.target or "").path not in ("", ROOT_PATH):
            raise
        elsewhere = replace(options, path=ROOT_PATH)
        target = make_target(elsewhere)
        try:
            return elsewhere, target.with_capabilities(probe(target))
        except ProbeFailed:
            raise error from None


def _present(options: RunOptions, target: Target) -> tuple[RunOptions, Target]:
    """Replace ``--endpoint all`` by the endpoints of the contract that the target really has."""
    draft = newest(target.capabilities.drafts)
    if ALL not in options.endpoint or draft is None:
        return options, target
    found = [f"{name}={path}" for name, path in CONTRACT_PATHS.items() if _answers(target, draft, path)]
    named = [value for value in options.endpoint if value != ALL]
    present = replace(options, endpoint=[*found, *named])
    return present, replace(target, endpoints=make_target(present).endpoints)


def _answers(target: Target, draft: Draft, path: str) -> bool:
    try:
        with target.connect(draft) as peer:
            target.establish(peer, path)
    except SessionRefused as error:
        return error.status not in ABSENT
    except ConnectFailed:
        return False
    return True


def addresses(options: RunOptions) -> list[str]:
    """Return the numeric addresses of the target; raises ProbeFailed for a name that has none."""
    host, port = endpoint_of(options)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise ProbeFailed(
            f"no connection to {options.target}: the host name {host!r} has no address ({text}); "
            "is it spelled right? --connect-to HOST:PORT names an address without asking for the name",
            "unreachable",
        ) from None
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def check_disruption(options: RunOptions, what: str) -> None:
    """Raise InvalidOption where the target found is on another machine and the user did not allow that."""
    if not may_disrupt(make_target(options), options):
        host = urlsplit(options.target or "").hostname
        raise InvalidOption(f"{host} is not on this machine: {what} needs --allow-disruptive {host}")
