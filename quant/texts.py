"""Texts of errors: limits for names from an uploaded file, which may have millions of characters, and suggestions."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

MOST_CHARACTERS = 1024
"""The most characters of one text in an error, a message or a record."""
_END = 200


def shortened(text: str) -> str:
    """Return a text of at most `MOST_CHARACTERS`; the middle of a longer one is left out.

    Half of a surrogate pair, which JSON may hold and no encoding has, becomes a question mark.
    """
    text = text.encode(errors="replace").decode()
    if len(text) <= MOST_CHARACTERS:
        return text
    gap = f" [... {len(text) - MOST_CHARACTERS:,} characters left out ...] "
    return text[: MOST_CHARACTERS - _END - len(gap)] + gap + text[-_END:]


def closest(text: str, accepted: Iterable[str]) -> str:
    """Return `: did you mean ...?` with the most similar of the accepted texts, or nothing if none is similar."""
    similar = get_close_matches(text, list(accepted), n=1)
    return f": did you mean `{similar[0]}`?" if similar else ""


def with_short_texts(document: Any) -> Any:
    """Return a JSON document in which every text is shortened, the names of fields too."""
    if isinstance(document, str):
        return shortened(document)
    if isinstance(document, dict):
        return {shortened(str(name)): with_short_texts(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [with_short_texts(value) for value in document]
    return document
