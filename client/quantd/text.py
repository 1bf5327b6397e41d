"""Texts that are safe to print, and what an unknown name may stand for."""

from collections.abc import Collection


def printable(text: str) -> str:
    """Return the text with every character that is not printable written as an escape.

    Names of layers and messages come from uploaded models. Control characters in them could change the terminal, a new
    line could pass for a command to a CI system, and bidirectional marks could change the order of a line.
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def accepted_names(name: str, names: Collection[str]) -> str:
    """Return the end of an error for an unknown name: the most similar of the accepted names, or all if none is."""
    from difflib import get_close_matches

    similar = get_close_matches(name, names, n=1)
    return f"did you mean {similar[0]}?" if similar else f"accepted: {', '.join(names)}"
