"""The consoles for standard output and standard error, and lines of text for them."""

from rich.console import Console
from rich.text import Text

from quantd.text import printable

out_console = Console(highlight=False)
err_console = Console(stderr=True, highlight=False)

Part = str | tuple[str, str]
"""A text, or a text with its style."""


def line(*parts: Part) -> Text:
    """Return one line without characters that are not printable."""
    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((printable(text), style) for text, style in styled))
