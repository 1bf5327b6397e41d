"""Rows of a label and a text, as the results of a job are printed for people."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console

from quantd.console import line

LABEL_WIDTH = 12
PASS, WARN, FAIL = "green", "yellow", "bold red"
"""Styles of labels."""


@dataclass(frozen=True)
class Row:
    """A label and a text.

    Attributes:
        label: a word or two, at the start of the line.
        text: the text, which is never cut.
        style: the style of the label.
        wrapped: True if the text is wrapped to the width of the console; False for columns.
    """

    label: str
    text: str
    style: str = ""
    wrapped: bool = True


def print_rows(console: Console, rows: Iterable[Row]) -> None:
    """Print rows with their texts in one column."""
    width = max(console.width - LABEL_WIDTH, 20)
    for row in rows:
        wrapped = textwrap.wrap(row.text, width, break_long_words=False, break_on_hyphens=False) if row.wrapped else []
        label = row.label
        for text in wrapped or [row.text]:
            console.print(line((f"{label:<{LABEL_WIDTH}}", row.style), text), soft_wrap=True)
            label = ""
