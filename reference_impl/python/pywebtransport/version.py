"""The version of the distribution `webtransport-reference` (the same as that of the Cargo workspace)."""

from typing import Final

__version__: Final = "0.1.0"
