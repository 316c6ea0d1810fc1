"""What all HTML pages share: what comes off the wire is escaped, and nothing is left undefined."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.escaping import visible


def page_environment(package: str, folder: str) -> Environment:
    """Return the environment of the page templates in a folder of a package."""
    environment = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = visible
    return environment
