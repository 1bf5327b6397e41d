"""Tables and texts in Markdown."""

import re
from collections.abc import Iterable, Sequence

Row = Sequence[str]


def document(*parts: str) -> str:
    """Return a page of its parts: paragraphs, headings and tables."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def table(header: Row, rows: Iterable[Row]) -> str:
    """Return a table; cells are Markdown, in which bars and line breaks are replaced."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Return a code span; the empty text stays empty."""
    return f"`{text}`" if text else ""


def anchor(heading: str) -> str:
    """Return the anchor that the site gives to a heading."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def prose(text: str) -> str:
    """Return a docstring as one paragraph, with `<` as an entity outside of code spans."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
