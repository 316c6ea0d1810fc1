"""``python -m scenarios.campaigns.baton``: Devious Baton under each network profile, and each of its errors.

Ends with 0 if every message was played without a violation and every code was provoked in both roles.
"""

from __future__ import annotations

import argparse

from scenarios.campaigns.baton_errors import Provocation, provoke_all
from scenarios.campaigns.baton_rounds import Round, play_all
from scenarios.network import PROFILES, Profile


def main(arguments: list[str] | None = None) -> int:
    """Play, and print both tables as Markdown."""
    given = _parser().parse_args(arguments)
    print("| profile | pairing | seconds | messages | sessions | violations |\n|---|---|--:|--:|--:|---|")
    rounds = play_all(given.profiles, given.messages, _show_round)
    faultless = sum(not each.violations for each in rounds)
    messages = sum(each.messages for each in rounds)
    good = faultless == len(rounds)
    summary = [f"rounds: {faultless} of {len(rounds)} without a violation, {messages} messages"]
    if given.errors:
        print("\n| role of the reference | code | seen |\n|---|---|---|")
        codes = [each.provoked for each in provoke_all(_show_provocation)]
        good &= all(codes)
        summary.append(f"codes: {sum(codes)} of {len(codes)} provoked")
    print("\n" + "\n".join(summary))
    return 0 if good else 1


def _show_round(row: Round) -> None:
    violations = "; ".join(row.violations).replace("|", "\\|") or "none"
    figures = f"{row.seconds:.1f} | {row.messages} | {row.sessions}"
    print(f"| {row.profile} | {row.pairing} | {figures} | {violations} |", flush=True)


def _show_provocation(result: Provocation) -> None:
    seen = "yes" if result.provoked else f"**no**: {result.seen}"
    print(f"| {result.role} | {result.code.name} | {seen} |", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scenarios.campaigns.baton", description=__doc__)
    parser.add_argument("--messages", type=_positive, default=1000, metavar="N", help="in each round")
    parser.add_argument(
        "--profiles", type=_profiles, default="all", metavar="LIST", help=f"all, or of {','.join(PROFILES)}"
    )
    parser.add_argument(
        "--errors", action=argparse.BooleanOptionalAction, default=True, help="provoke every error code"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 7 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 9999999")
    return int(text)


def _profiles(text: str) -> list[Profile]:
    names = list(PROFILES) if text == "all" else text.split(",")
    if unknown := [name for name in names if name not in PROFILES]:
        raise argparse.ArgumentTypeError(f"there is no profile {', '.join(unknown)}")
    return [PROFILES[name] for name in names]


if __name__ == "__main__":
    raise SystemExit(main())
