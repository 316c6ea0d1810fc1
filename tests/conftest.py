"""What all tests of the project share."""

from __future__ import annotations

import signal

from hypothesis import settings

# A slow machine is no fault of the code: no example has a deadline. On CI Hypothesis itself chooses its
# profile "ci", which this one extends, so that every run there sees the same examples.
settings.register_profile("project", settings.default, deadline=None)
settings.load_profile("project")

# Without job control a shell has its background jobs ignore SIGINT, and so would the programs that tests end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
