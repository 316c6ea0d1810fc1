"""Certificates for development: a root of our own and a leaf for one host, or a short-lived one for
browsers."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BROWSER_VALIDITY_DAYS: Final = 14
"""The longest life that browsers take for `serverCertificateHashes` (W3C WebTransport)."""

_PURPOSES: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_LEEWAY: Final = datetime.timedelta(hours=1)


def generate_self_signed_cert(
    *, hostname: str, output_dir: str = ".", validity_days: int = 365
) -> tuple[str, str, str]:
    """Write `HOSTNAME_ca.crt`, `HOSTNAME.crt` and `HOSTNAME.key`: ECDSA P-256, PEM.

    A certificate for `localhost` also names both loopback addresses. Clients may show it, too.

    Args:
        hostname: DNS name or IP address.
        output_dir: an existing or new directory.
        validity_days: of both certificates.

    Returns:
        The paths of root certificate, certificate and key.

    Raises:
        ValueError: the host name or the number of days cannot be used.
        OSError: a file cannot be written.
    """
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name(f"{hostname} development root")
    until = _until(validity_days)
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate, key = _leaf(hostname, authority_name, authority_key, until)
    stem = os.path.join(output_dir, _file_stem(hostname))
    os.makedirs(output_dir, exist_ok=True)
    paths = (f"{stem}_ca.crt", f"{stem}.crt", f"{stem}.key")
    _write(paths[0], authority.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(paths[1], certificate, 0o644)
    _write(paths[2], key, 0o600)
    return paths


def short_lived_certificate(hostname: str, days: int = BROWSER_VALIDITY_DAYS) -> tuple[bytes, bytes]:
    """A self-signed ECDSA P-256 certificate and its key, both PEM, that browsers take by its hash.

    Raises:
        ValueError: `days` exceeds 14.
    """
    if not 0 < days <= BROWSER_VALIDITY_DAYS:
        raise ValueError(f"{days} days: browsers take 1 to {BROWSER_VALIDITY_DAYS}")
    # The leeway for clocks that are behind counts as part of the life.
    return _leaf(hostname, None, None, _until(days) - 2 * _LEEWAY)


def certificate_hash(certificate: bytes) -> bytes:
    """SHA-256 over the DER form of a PEM certificate, as `serverCertificateHashes` wants it.

    Raises:
        ValueError: there is no certificate in it.
    """
    parsed = x509.load_pem_x509_certificate(certificate)
    return hashlib.sha256(parsed.public_bytes(serialization.Encoding.DER)).digest()


def _leaf(
    hostname: str,
    issuer: x509.Name | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
    until: datetime.datetime,
) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(hostname)
    certificate = (
        _builder(subject, issuer or subject, key.public_key(), until)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(hostname)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_PURPOSES), critical=False)
        .sign(issuer_key or key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.now(datetime.UTC) - _LEEWAY)
        .not_valid_after(until)
    )


def _until(days: int) -> datetime.datetime:
    if days < 1:
        raise ValueError(f"{days} days is no life for a certificate")
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _alternative_names(hostname: str) -> list[x509.GeneralName]:
    names = [hostname, "127.0.0.1", "::1"] if hostname == "localhost" else [hostname]
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _file_stem(hostname: str) -> str:
    if not hostname or hostname in {".", ".."} or "/" in hostname or "\0" in hostname:
        raise ValueError(f"{hostname!r} cannot name a file")
    return hostname


def _write(path: str, content: bytes, mode: int) -> None:
    # The mode is set before the content is there, also where the file exists already.
    Path(path).touch(mode=mode)
    os.chmod(path, mode)
    Path(path).write_bytes(content)
