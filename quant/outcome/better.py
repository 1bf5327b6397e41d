"""The direction in which a figure improves."""

from enum import StrEnum
from typing import Literal


class Better(StrEnum):
    """The direction in which a figure improves."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def limit_words(self) -> str:
        """The words before a limit that a figure must keep."""
        return "at least" if self is Better.HIGHER else "at most"

    def word(self, change: float) -> Literal["better", "worse"]:
        """Return the direction of a change that is not zero."""
        return "better" if (change > 0) == (self is Better.HIGHER) else "worse"
