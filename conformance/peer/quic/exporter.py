"""Keying material exporter of TLS 1.3 (RFC 8446 §7.5)."""

from __future__ import annotations

from aioquic.tls import hkdf_expand_label
from cryptography.hazmat.primitives import hashes


class Exporter:
    """The exporter of one connection, made of its ``exporter_master_secret``."""

    def __init__(self, algorithm: hashes.HashAlgorithm, master_secret: bytes) -> None:
        self._algorithm = algorithm
        self.master_secret = master_secret

    def _hash(self, data: bytes) -> bytes:
        digest = hashes.Hash(self._algorithm)
        digest.update(data)
        return digest.finalize()

    def export(self, label: str, context: bytes, length: int) -> bytes:
        """Return ``length`` bytes: TLS-Exporter(label, context, length)."""
        size = self._algorithm.digest_size
        secret = hkdf_expand_label(
            self._algorithm, self.master_secret, label.encode("ascii"), self._hash(b""), size
        )
        return hkdf_expand_label(self._algorithm, secret, b"exporter", self._hash(context), length)
