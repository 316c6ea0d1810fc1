"""``python -m scenarios.browser [URL]``: headless Chromium as a client of a server."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from conformance.harness.embedded import MODULES, Embedded, default_server
from conformance.options import UserError
from reports.verdict import EXIT_INCONCLUSIVE
from scenarios.browser.chromium import BrowserFailed, BrowserMissing, Chromium
from scenarios.browser.page import Page
from scenarios.browser.scenarios import Result, Site, exit_code, run


def embedded_site(name: str, stack: ExitStack) -> Site:
    """Start one of our own servers until the stack closes; return how to reach it. Raises EmbeddedFailed."""
    server = stack.enter_context(Embedded(name))
    assert server.ca_file is not None
    certificate = x509.load_pem_x509_certificate(server.ca_file.read_bytes())
    return Site(server.url, certificate.fingerprint(hashes.SHA256()).hex())


def show(results: list[Result]) -> None:
    """Print a table."""
    width = max(len(result.scenario) for result in results)
    for result in results:
        click.echo(f"{result.scenario:<{width}}  {result.verdict.value:<12}  {result.reason}")


@click.command()
@click.argument("target", required=False)
@click.option("--hash", "certificate_hash", default="", metavar="HEX", help="SHA-256 of the certificate.")
@click.option("--draft-07", is_flag=True, help="Let the browser offer draft-07 beside draft-02.")
def main(target: str | None, certificate_hash: str, draft_07: bool) -> int:
    """Let Chromium play with TARGET: a URL, 'model' or 'reference' (default: the embedded server).

    Exit codes: 0 passed, 1 failed, 2 usage, 3 nothing could be shown.
    """
    features = ("EnableWebTransportDraft07",) if draft_07 else ()
    try:
        with ExitStack() as stack:
            browser = stack.enter_context(Chromium(*features))
            if target is None or target in MODULES:
                site = embedded_site(target or default_server(), stack)
            else:
                site = Site(target, certificate_hash)
            page = stack.enter_context(Page())
            click.echo(f"{browser.version()} as client of {site.url}")
            results = run(site, browser, page)
    except BrowserMissing as reason:
        click.echo(f"skipped: {reason}", err=True)
        return EXIT_INCONCLUSIVE
    except (BrowserFailed, UserError) as error:
        click.echo(f"error: {error}", err=True)
        return EXIT_INCONCLUSIVE
    show(results)
    return exit_code(results)


if __name__ == "__main__":
    sys.exit(main(standalone_mode=False))
