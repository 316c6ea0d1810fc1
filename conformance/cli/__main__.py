"""``python -m conformance.cli`` is ``wtconform``."""

import sys

from conformance.cli import main

sys.exit(main())
