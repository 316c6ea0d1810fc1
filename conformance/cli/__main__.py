"""``python -m conformance.cli`` is ``wtconform``."""

from conformance.cli import run_main

run_main()
