"""The code blocks of Markdown pages."""

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

NOT_RUN = "not run in tests: "
"""The beginning of the title of a block that does not run, followed by the reason."""


@dataclass(frozen=True)
class Fence:
    """A code block: its language, its title, its text, and its first line in the page."""

    language: str
    title: str
    text: str
    line: int

    @property
    def reason(self) -> str | None:
        """The reason for which the block does not run; None if it does."""
        return self.title.removeprefix(NOT_RUN) if self.title.startswith(NOT_RUN) else None


def fences_of(page: Path) -> list[Fence]:
    """Return the code blocks of a page."""
    blocks = [token for token in MarkdownIt().parse(page.read_text()) if token.type == "fence"]
    return [
        Fence(
            block.info.partition(" ")[0],
            next(iter(re.findall(r'title="([^"]*)"', block.info)), ""),
            block.content,
            block.map[0] + 1 if block.map else 0,
        )
        for block in blocks
    ]
