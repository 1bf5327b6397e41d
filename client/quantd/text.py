"""Texts that are safe to print."""


def printable(text: str) -> str:
    """Return the text with every character that is not printable written as an escape.

    Names of layers and messages come from uploaded models. Control characters in them could change the terminal, a new
    line could pass for a command to a CI system, and bidirectional marks could change the order of a line.
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
