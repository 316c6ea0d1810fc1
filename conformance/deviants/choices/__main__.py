"""``python -m conformance.deviants.choices [PREFIX]``: all cases against each choice alone, in all drafts.

Prints what the cases object to; exit status 1 where there is anything.
"""

from __future__ import annotations

import sys

from conformance.deviants.choices import all_choices
from conformance.deviants.choices.play import objections
from conformance.harness.case import load_cases


def main(prefix: str = "") -> int:
    """Play and print; return the exit status."""
    cases, found = load_cases(), 0
    for item in all_choices():
        if not item.id.startswith(prefix):
            continue
        print(f"{item.id}: {item.title} ({item.reference})", flush=True)
        for draft in item.drafts:
            for line in objections([item], cases, draft):
                found += 1
                print(f"  {line}", flush=True)
    print(f"{found} objections to what the texts allow" if found else "no case objects")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
