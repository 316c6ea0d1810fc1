"""Helpers under the names of the established interface: development certificates and log output."""

from __future__ import annotations

import logging

from pywebtransport.certificates import generate_self_signed_cert


def init_tracing() -> None:
    """Show the library's log on standard error, where the program has not set up logging itself."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")


__all__ = ["generate_self_signed_cert", "init_tracing"]
