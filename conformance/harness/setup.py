"""From the options of a run to its target, drafts and cases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from conformance.harness.case import Case
from conformance.harness.embedded import CONTRACT_PATHS, Embedded, default_server
from conformance.harness.openers import (
    InvalidTarget,
    UdpOpener,
    is_loopback,
    parse_host_port,
    parse_url,
    resolve,
)
from conformance.harness.target import Capabilities, Target
from conformance.options import EMBEDDED, InvalidOption, RunOptions, parse_pairs, parse_shard
from conformance.peer.drafts import DRAFTS, Draft, newest
from conformance.peer.options import PeerOptions
from conformance.peer.quic import QuicOptions


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
    return RunOptions(
        **{
            **vars(options),
            "target": server.url,
            "ca": server.ca_file,
            "endpoint": [*endpoints, *options.endpoint],
            "declare_draft": options.declare_draft or 16,
            "embedded": name,
        }
    )


def make_target(options: RunOptions) -> Target:
    """Return the target of a run; raises InvalidTarget or InvalidOption, each with one line of text."""
    if options.target is None:
        raise InvalidTarget("no target: give a URL, or 'model' or 'reference'")
    location = parse_url(options.target)
    host, port = parse_host_port(options.connect_to) if options.connect_to else (location.host, location.port)
    address = resolve(host, port)
    fields = tuple(
        (name.lower().encode(), value.encode()) for name, value in parse_pairs(options.header, ":", "header")
    )
    return Target(
        name=options.embedded or options.target,
        opener=UdpOpener(location, address, _quic_options(options, location.host)),
        endpoints=_endpoints(options),
        options=PeerOptions(request_fields=fields, origin=options.origin),
        declared_draft=options.declare_draft,
        loopback=is_loopback(address),
    )


def _quic_options(options: RunOptions, host: str) -> QuicOptions:
    certificate, key = None, None
    if options.client_cert:
        cert_file, _, key_file = options.client_cert.partition(":")
        try:
            certificate = x509.load_pem_x509_certificate(Path(cert_file).read_bytes())
            key = load_pem_private_key(Path(key_file or cert_file).read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise InvalidOption(f"--client-cert {options.client_cert!r}: {error}") from None
    if options.ca is not None and not Path(options.ca).is_file():
        raise InvalidOption(f"--ca {str(options.ca)!r}: no such file")
    return QuicOptions(
        is_client=True,
        server_name=host,
        ca_file=str(options.ca) if options.ca else None,
        insecure=options.insecure,
        certificate=certificate,
        private_key=key,
    )


def _endpoints(options: RunOptions) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in options.endpoint:
        if value == "all":
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


def select(cases: Sequence[Case], drafts: Sequence[Draft], options: RunOptions) -> list[Selection]:
    """Return the cases of the run, disruptive ones last; raises InvalidOption where nothing is left."""
    prefixes = tuple(part.strip() for part in (options.select or "").split(",") if part.strip())
    part, whole = parse_shard(options.shard)
    chosen = [
        Selection(case, draft)
        for case in cases
        if case.role == options.role
        and (options.slow or not case.slow)
        and (not prefixes or any(item.startswith(prefixes) for item in (case.identifier, *case.requirements)))
        for draft in drafts
        if draft in case.drafts
    ]
    if not chosen:
        wanted = f" that begins with {options.select!r}" if options.select else ""
        raise InvalidOption(
            f"no case{wanted} for role {options.role} and draft {', '.join(drafts)}; see wtconform list"
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
