"""From the options of a run to its target, drafts and cases."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from conformance.harness.case import Case
from conformance.harness.embedded import CONTRACT_PATHS, Embedded, default_server
from conformance.harness.target import Capabilities, Target
from conformance.options import EMBEDDED, InvalidOption, RunOptions, parse_pairs, parse_shard
from conformance.peer.bounds import LoadBounds
from conformance.peer.drafts import DRAFTS, Draft, newest
from conformance.peer.openers import DEFAULT_PORT, InvalidUrl, UdpOpener
from conformance.peer.options import PeerOptions

CONNECTIONS_PER_WORKER = 2


@dataclass(frozen=True, slots=True)
class Selection:
    """A case in one draft."""

    case: Case
    draft: Draft


def start_embedded(options: RunOptions, stack: ExitStack) -> RunOptions:
    """Start the server that the target names, if it is one of ours; return options with its URL.

    Raises EmbeddedFailed. The stack stops the server.
    """
    if options.target is not None and options.target not in EMBEDDED:
        return options
    name = default_server() if options.target in (None, "embedded") else options.target
    assert name is not None
    server = stack.enter_context(Embedded(name, drafts=options.drafts))
    endpoints = [f"{key}={path}" for key, path in CONTRACT_PATHS.items()]
    return replace(
        options,
        target=server.url,
        ca=server.ca_file,
        endpoint=[*endpoints, *options.endpoint],
        declare_draft=options.declare_draft or 16,
        target_pid=options.target_pid or server.pid,
        embedded=name,
    )


def check(options: RunOptions) -> None:
    """Raise InvalidOption for the first option that cannot be used, before anything is started."""
    parse_shard(options.shard)
    _endpoints(options)
    _fields(options)
    _trust(options)
    if options.connect_to:
        parse_host_port(options.connect_to)
    if options.connect_timeout <= 0:
        raise InvalidOption(f"--connect-timeout {options.connect_timeout:g}: expected seconds above 0")
    if options.rate is not None and options.rate <= 0:
        raise InvalidOption(f"--rate {options.rate:g}: expected connections per second above 0")
    # The connection of a case, and the one of the sanity exchange beside it.
    if options.max_connections is not None and options.max_connections < CONNECTIONS_PER_WORKER:
        raise InvalidOption(
            f"--max-connections {options.max_connections}: a case needs {CONNECTIONS_PER_WORKER}, itself and "
            "the sanity exchange"
        )
    if options.role == "client" or options.client_command is not None:
        raise InvalidOption(
            "--role client: this version has no cases for clients yet; judge a server with --role server"
        )
    if options.target is not None and options.target not in EMBEDDED:
        _url(options.target)
    elif options.drafts:
        unknown = [name for name in options.drafts.split(",") if name.strip() not in set(DRAFTS)]
        if unknown:
            raise InvalidOption(f"--drafts: there is no draft {unknown[0]!r}; known are {', '.join(DRAFTS)}")


def _url(text: str) -> UdpOpener:
    try:
        opener = UdpOpener(url=text)
    except InvalidUrl:
        raise InvalidOption(
            f"{text!r} is not a target: expected https://HOST[:PORT][/PATH], 'model' or 'reference'"
        ) from None
    parts = urlsplit(text)
    if parts.username is not None or parts.fragment:
        raise InvalidOption(f"{text!r}: neither user information nor a fragment belongs into a target")
    return opener


def parse_host_port(text: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` (``[ADDRESS]:PORT`` for IPv6); raises InvalidOption."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidOption(f"--connect-to {text!r}: expected HOST:PORT")
    return host, int(port)


def endpoint_of(options: RunOptions) -> tuple[str, int]:
    """Return host and port that connections go to: those of the URL, unless the options name others."""
    if options.connect_to:
        return parse_host_port(options.connect_to)
    parts = urlsplit(_url(options.target or "").url)
    return parts.hostname or "", parts.port or DEFAULT_PORT


def make_target(options: RunOptions) -> Target:
    """Return the target of a run, its capabilities still unknown; raises InvalidOption."""
    if options.target is None:
        raise InvalidOption("no target: give a URL, or 'model' or 'reference'")
    opener = _url(options.target)
    host, port = endpoint_of(options)
    return Target(
        name=options.embedded or options.target,
        opener=replace(
            opener,
            connect_to=(options.address or host, port),
            quic=_trust(options),
            bounds=_bounds(options),
        ),
        endpoints=_endpoints(options),
        options=PeerOptions(
            request_fields=_fields(options),
            origin=options.origin,
            path=options.path,
            connect_deadline=options.connect_timeout,
        ),
        declared_draft=options.declare_draft,
        loopback=options.address is None or is_loopback(options.address),
    )


def most_workers(options: RunOptions, workers: int) -> int:
    """Return how many of so many workers may play side by side within the bounds of the load."""
    if options.max_connections is None:
        return workers
    return min(workers, options.max_connections // CONNECTIONS_PER_WORKER)


def _bounds(options: RunOptions) -> LoadBounds:
    """Return this worker's share of the bounds."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    rate = options.rate / workers if options.rate is not None else None
    connections = options.max_connections
    return LoadBounds(rate, max(1, connections // workers) if connections is not None else None)


def is_loopback(address: str) -> bool:
    """Tell whether a numeric address belongs to this machine's loopback interface."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def may_disrupt(target: Target, options: RunOptions) -> bool:
    """Tell whether floods may be sent: to this machine always, else to the host that the user named."""
    host = urlsplit(options.target or "").hostname
    return target.loopback or (host is not None and options.allow_disruptive == host)


def _fields(options: RunOptions) -> tuple[tuple[bytes, bytes], ...]:
    pairs = parse_pairs(options.header, ":", "header")
    return tuple((name.lower().encode(), value.encode()) for name, value in pairs)


def _trust(options: RunOptions) -> dict[str, Any]:
    """Return the fields of QuicOptions that say whom to trust and who we are."""
    certificate, key = None, None
    if options.client_cert:
        cert_file, _, key_file = options.client_cert.partition(":")
        try:
            certificate = x509.load_pem_x509_certificate(Path(cert_file).read_bytes())
            key = load_pem_private_key(Path(key_file or cert_file).read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise InvalidOption(f"--client-cert {options.client_cert!r}: {error}") from None
    if options.ca is not None:
        try:
            x509.load_pem_x509_certificates(Path(options.ca).read_bytes())
        except OSError as error:
            raise InvalidOption(f"--ca {str(options.ca)!r}: {error.strerror or error}") from None
        except ValueError:
            raise InvalidOption(f"--ca {str(options.ca)!r}: no certificate in PEM form") from None
    return {
        "ca_file": str(options.ca) if options.ca else None,
        "insecure": options.insecure,
        "certificate": certificate,
        "private_key": key,
    }


# Value of --endpoint for all default paths of the contract that the target has.
ALL = "all"


def _endpoints(options: RunOptions) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in options.endpoint:
        if value == ALL:
            found.update(CONTRACT_PATHS)
            continue
        for name, path in parse_pairs([value], "=", "endpoint"):
            if name not in CONTRACT_PATHS:
                known = ", ".join(sorted(CONTRACT_PATHS))
                raise InvalidOption(f"--endpoint {value!r}: there is no endpoint {name!r}; known are {known}")
            if not path.startswith("/"):
                raise InvalidOption(f"--endpoint {value!r}: a path begins with a slash")
            found[name] = path
    return found


def choose_drafts(requested: str, offered: Iterable[Draft], target: str) -> list[Draft]:
    """Return the drafts to run; raises InvalidOption where the target does not offer the one asked for."""
    available = frozenset(offered)
    if requested == "all":
        return [draft for draft in DRAFTS if draft in available]
    if requested == "auto":
        best = newest(available)
        return [best] if best is not None else []
    draft = Draft(requested)
    if draft not in available:
        names = ", ".join(item.value for item in DRAFTS if item in available)
        raise InvalidOption(f"--draft {requested}: {target} offers {names}")
    return [draft]


def selected(cases: Sequence[Case], options: RunOptions) -> list[Case]:
    """Return the cases that the options name; raises InvalidOption where there is none."""
    prefixes = tuple(part.strip() for part in (options.select or "").split(",") if part.strip())
    chosen = [
        case
        for case in cases
        if case.role == options.role
        and (options.slow or not case.slow)
        and (not prefixes or any(item.startswith(prefixes) for item in (case.identifier, *case.requirements)))
    ]
    if not chosen:
        wanted = f" that begins with {options.select!r}" if options.select else ""
        raise InvalidOption(f"no case{wanted} for role {options.role}; see wtconform list")
    return chosen


def select(cases: Sequence[Case], drafts: Sequence[Draft], options: RunOptions) -> list[Selection]:
    """Return the cases of the run, disruptive ones last; raises InvalidOption where nothing is left."""
    part, whole = parse_shard(options.shard)
    wanted = selected(cases, options)
    chosen = [Selection(case, draft) for case in wanted for draft in drafts if draft in case.drafts]
    if not chosen:
        raise InvalidOption(
            f"none of the {len(wanted)} cases selected is for draft {', '.join(drafts)}; see wtconform list"
        )
    return chosen[part - 1 :: whole]


def capabilities_json(capabilities: Capabilities) -> str:
    """Return capabilities as text, to hand them to another process."""
    return json.dumps(
        {
            "drafts": sorted(draft.value for draft in capabilities.drafts),
            "echo_bidi": capabilities.echo_bidi,
            "echo_uni": capabilities.echo_uni,
            "echo_datagram": capabilities.echo_datagram,
            "settings": sorted(capabilities.settings.items()),
            "transport_parameters": [(k, v.hex()) for k, v in capabilities.transport_parameters.items()],
        }
    )


def capabilities_from_json(text: str) -> Capabilities:
    """Read capabilities written by ``capabilities_json``."""
    value = json.loads(text)
    return Capabilities(
        drafts=frozenset(Draft(item) for item in value["drafts"]),
        echo_bidi=value["echo_bidi"],
        echo_uni=value["echo_uni"],
        echo_datagram=value["echo_datagram"],
        settings=dict(value["settings"]),
        transport_parameters={k: bytes.fromhex(v) for k, v in value["transport_parameters"]},
    )
