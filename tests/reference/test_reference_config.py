"""Configurations and exceptions: what is accepted, copied and shown."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
from pywebtransport import ClientConfig, ConfigurationError, ErrorCodes, ServerConfig
from pywebtransport import exceptions as errors

BAD_CLIENT: list[dict[str, Any]] = [
    {"close_timeout": 0},
    {"close_timeout": "5"},
    {"max_connections": 0},
    {"alpn_protocols": []},
    {"congestion_control_algorithm": "x"},
    {"max_datagram_size": 65536},
    {"initial_max_data": -1},
    {"initial_max_streams_bidi": (1 << 60) + 1},
    {"quic_max_concurrent_uni_streams": 2},
    {"max_sessions": 1.5},
    {"max_sessions": True},
    {"keep_alive_interval": 0},
    {"read_timeout": float("nan")},
    {"busy_wait": -1e-6},
    {"busy_wait": 1.0},
    {"verify_mode": 1},
    {"certfile": "only.crt"},
    {"keyfile": "only.key"},
    {"drafts": []},
    {"drafts": [15]},
    {"drafts": [16, 16]},
    {"certificate_hashes": [b"short"]},
]
BAD_SERVER: list[dict[str, Any]] = [
    {"bind_port": 65536},
    {"bind_host": ""},
    {"verify_mode": ssl.CERT_REQUIRED},
    {"max_handshakes_per_address": -1},
]


@pytest.mark.parametrize("values", BAD_CLIENT, ids=lambda values: "-".join(map(str, values)))
def test_a_bad_value_of_a_client_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ClientConfig(**values).validate()


@pytest.mark.parametrize("values", BAD_SERVER, ids=lambda values: "-".join(map(str, values)))
def test_a_bad_value_of_a_server_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ServerConfig(certfile="a", keyfile="b", **values).validate()
    assert caught.value.config_key in {*values, "ca_certs"}


def test_time_limits_can_be_switched_off() -> None:
    ClientConfig(read_timeout=None, write_timeout=None, keep_alive_interval=None).validate()


def test_a_configuration_survives_the_way_through_json() -> None:
    config = ClientConfig(verify_mode=ssl.CERT_NONE, headers={"x": "y"}, read_timeout=None)
    again = ClientConfig.from_dict(config_dict={**json.loads(json.dumps(config.to_dict())), "unknown": 1})
    assert again == config
    assert again.verify_mode is ssl.CERT_NONE


def test_a_copy_shares_nothing() -> None:
    config = ClientConfig(headers={"x": "y"})
    copied = config.copy()
    assert copied == config
    assert copied.headers is not config.headers
    assert config.update(connect_timeout=1.0).connect_timeout == 1.0
    assert config.connect_timeout == 30.0
    with pytest.raises(ConfigurationError):
        config.update(connect_timeout=-1)
    with pytest.raises(ConfigurationError) as caught:
        config.update(nope=1)
    assert caught.value.config_key == "nope"


@pytest.mark.parametrize("name", errors.__all__)
def test_exceptions_show_what_they_carry(name: str) -> None:
    kind = getattr(errors, name)
    error = kind("message")
    shown = error.to_dict()
    assert isinstance(error, errors.WebTransportError)
    assert shown["type"] == name
    assert shown["error_code"] == error.error_code == kind.default_code
    assert set(kind.context_fields) <= set(shown)
    assert str(error) == f"message error_code={error.error_code:#x}"
    assert repr(error).startswith(f"{name}(message='message'")


def test_codes_tell_what_is_fatal_and_what_may_be_tried_again() -> None:
    assert errors.TimeoutError("m").is_retriable
    assert errors.CertificateError("m").is_fatal
    assert not errors.StreamError("m", error_code=3_000).is_fatal
    assert errors.FlowControlError("m").category == "flow_control"
    cause = errors.SessionError("inner", error_code=ErrorCodes.H3_REQUEST_REJECTED, details={"status": 404})
    outer = errors.ClientError.from_cause("outer", cause=cause, url="https://a/")
    assert (outer.error_code, outer.details, outer.url) == (0x10B, {"status": 404}, "https://a/")
