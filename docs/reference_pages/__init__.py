"""The pages below docs/reference/, generated from the code; `python -m docs.reference_pages` writes them.

A test fails when a page and the code differ.
"""

from collections.abc import Callable, Mapping

from docs.reference_pages import command, errors, metrics, report, settings, spec

PAGES: Mapping[str, Callable[[], str]] = {
    "spec": spec.page,
    "report": report.page,
    "settings": settings.page,
    "metrics": metrics.page,
    "errors": errors.page,
    "command": command.page,
}
"""The text of each page by the name of its file."""
