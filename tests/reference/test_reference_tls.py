"""Who has to show which certificate."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pywebtransport import ClientConfig, ClientError, WebTransportClient
from pywebtransport.exceptions import HandshakeError
from pywebtransport.utils import generate_self_signed_cert
from reference_programs import echo, serving

Run = Callable[[Any], Any]

pytestmark = pytest.mark.usefixtures("built")


async def echoes(url: str, **config: Any) -> None:
    async with WebTransportClient(config=ClientConfig(**config)) as peer:
        session = await peer.connect(url=url.replace("127.0.0.1", "localhost"))
        stream = await session.create_bidirectional_stream()
        await stream.write_all(data=b"Hello", end_stream=True)
        assert await stream.read_all() == b"Hello"


def root(certificate: tuple[str, str]) -> str:
    """The root beside a certificate."""
    return str(Path(certificate[0]).with_name("localhost_ca.crt"))


def test_a_client_shows_its_certificate(run: Run, certificate: tuple[str, str], tmp_path: Path) -> None:
    ca, cert, key = generate_self_signed_cert(
        hostname="client.example", output_dir=str(tmp_path), validity_days=10
    )
    trusted = root(certificate)

    async def main() -> None:
        trust: dict[str, Any] = {"verify_mode": ssl.CERT_REQUIRED, "ca_certs": ca}
        async with serving(certificate, echo, **trust) as url:
            await echoes(url, ca_certs=trusted, certfile=cert, keyfile=key)
            for wrong in ({}, {"certfile": certificate[0], "keyfile": certificate[1]}):
                with pytest.raises(ClientError):
                    await echoes(url, ca_certs=trusted, **wrong)
        async with serving(certificate, echo, **{**trust, "verify_mode": ssl.CERT_OPTIONAL}) as url:
            await echoes(url, ca_certs=trusted)

    run(main())


def test_a_server_that_is_not_trusted_is_left(run: Run, certificate: tuple[str, str], tmp_path: Path) -> None:
    trusted = root(certificate)
    other, _, _ = generate_self_signed_cert(hostname="localhost", output_dir=str(tmp_path), validity_days=10)

    async def main() -> None:
        async with serving(certificate, echo) as url:
            await echoes(url, ca_certs=trusted)
            with pytest.raises(ClientError):
                await echoes(url, ca_certs=other)

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_why_there_is_no_connection_is_the_cause(
    run: Run, certificate: tuple[str, str], tmp_path: Path, host: str
) -> None:
    other, _, _ = generate_self_signed_cert(hostname="localhost", output_dir=str(tmp_path), validity_days=10)

    async def main() -> None:
        config = ClientConfig(ca_certs=other)
        async with serving(certificate, echo) as url, WebTransportClient(config=config) as peer:
            with pytest.raises(ClientError) as error:
                await peer.connect(url=url.replace("127.0.0.1", host))
            assert isinstance(error.value.__cause__, HandshakeError)

    run(main())


@pytest.mark.parametrize("name", ["certfile", "ca_certs"])
def test_files_that_hold_no_certificate_are_named(run: Run, tmp_path: Path, name: str) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()

    async def main() -> None:
        config: dict[str, Any] = {name: str(empty)}
        if name == "certfile":
            config["keyfile"] = str(empty)
        with pytest.raises(ClientError, match=r"no certificate in it|private_key"):
            await echoes("https://127.0.0.1:9/", **config)

    run(main())
