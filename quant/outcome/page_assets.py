"""The script and the styles of the report page, and the Content-Security-Policy that allows them and nothing else."""

import base64
import hashlib
from functools import cache
from importlib import resources


@cache
def script() -> str:
    """Return the page's script."""
    return _read("report.js")


@cache
def styles() -> str:
    """Return the page's styles."""
    return _read("report.css")


def script_source() -> str:
    """Return the script as a source of a Content-Security-Policy: the hash of its bytes."""
    return _hash_source(script())


@cache
def page_policy() -> str:
    """Return the Content-Security-Policy that the page states itself: its own script and styles, and no request.

    A page cannot put itself into a sandbox: browsers take that from a header only.
    """
    return (
        f"default-src 'none'; script-src {script_source()}; style-src {_hash_source(styles())}; img-src data:; "
        "form-action 'none'; base-uri 'none'"
    )


def _read(name: str) -> str:
    return resources.files("quant.outcome").joinpath("templates", name).read_text("utf-8")


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
