"""Short-lived self-signed certificates, made in memory.

ECDSA P-256 and at most 14 days: what a browser demands for ``serverCertificateHashes``.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MAX_DAYS = 14
DEFAULT_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key."""

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the DER form."""
        return self.certificate.fingerprint(hashes.SHA256())

    @property
    def pem(self) -> bytes:
        """The certificate as PEM; it is its own root, so this serves as CA data too."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def private_key_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8 PEM."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def self_signed(names: tuple[str, ...] = DEFAULT_NAMES, *, days: int = 10) -> Certificate:
    """Make a new certificate for host names and addresses, valid from an hour ago for ``days`` days.

    Raises ValueError for more than 14 days or no name.
    """
    if not 0 < days <= MAX_DAYS or not names:
        raise ValueError("a certificate needs a name and lives for 1 to 14 days")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Certificate(certificate, key)


def load(certificate: Path, private_key: Path) -> Certificate:
    """Read certificate and key from PEM files; raises OSError or ValueError."""
    key = serialization.load_pem_private_key(private_key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{private_key} is not an ECDSA key")
    return Certificate(x509.load_pem_x509_certificate(certificate.read_bytes()), key)


@lru_cache(maxsize=16)
def cached(names: tuple[str, ...] = DEFAULT_NAMES) -> Certificate:
    """Return one certificate per set of names and process: making one costs more than a handshake."""
    return self_signed(names)
