"""Text by connectionist temporal classification (Graves et al., 2006), decoded greedily."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.errors import InputMismatch
from quant.methods.metrics.base import MetricBase, SampleSums, ShareScorer, Values, require_rank
from quant.outcome.task_figures import CHAR_ERROR_RATE, TEXT_EXACT, TaskFigure

Text = NDArray[np.int64]
"""The class numbers of the characters of a text, shape (characters,)."""


class CtcText(MetricBase):
    """Equal texts and character errors of CTC scores (time, classes); targets are class numbers, padded with -1."""

    figures: ClassVar[tuple[TaskFigure, ...]] = (TEXT_EXACT, CHAR_ERROR_RATE)
    name: Literal["ctc_text"] = "ctc_text"
    blank: int = 0
    """The number of the blank class; -1 for the last class."""

    def decode(self, outputs: Sequence[NDArray[Any]]) -> Text:
        """Return the best class of every frame, without repetitions and blanks."""
        scores = outputs[0]
        require_rank(self.name, scores, 2, axes="[time, classes]")
        best = scores.argmax(axis=1)
        changed = np.diff(best, prepend=-1) != 0
        text: Text = best[changed & (best != self.blank % scores.shape[1])]
        return text

    def target(self, values: NDArray[Any]) -> Text:
        """Return the class numbers without padding."""
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise InputMismatch(
                f"metric {self.name}: a target is {values.dtype} of shape {list(values.shape)}; accepted: integer "
                "class numbers [characters], padded with -1"
            )
        return values[values.astype(np.int64) >= 0].astype(np.int64)

    def scorer(self) -> "TextErrors":
        """Return a scorer without samples."""
        return TextErrors()


class TextErrors(SampleSums, ShareScorer):
    """The errors of texts: a row holds 1, 1 for an equal text, the number of edits, and the characters."""

    def row(self, prediction: Text, reference: Text) -> Sequence[float]:
        """Return the row of one text."""
        edits = edit_distance(prediction, reference)
        return 1, edits == 0, edits, len(reference)

    def figures_of(self, sums: NDArray[np.float64]) -> Values:
        """Return the share of equal texts and the edits per character."""
        return {TEXT_EXACT.name: sums[:, 1] / sums[:, 0], CHAR_ERROR_RATE.name: sums[:, 2] / sums[:, 3]}

    def hits(self) -> NDArray[np.bool_]:
        """Return True for each equal text, shape (samples,)."""
        return self.rows()[:, 1] > 0


def edit_distance(a: Text, b: Text) -> int:
    """Return the least number of insertions, deletions and substitutions that turn `a` into `b` (Levenshtein, 1966)."""
    positions = np.arange(len(b) + 1)
    costs = positions.copy()
    for number, character in enumerate(a, 1):
        best = np.minimum(costs[1:] + 1, costs[:-1] + (b != character))
        # an insertion extends the best place to its left by one: the least of (cost - position) so far, plus position
        candidates = np.concatenate([[number], best]) - positions
        costs = np.minimum.accumulate(candidates) + positions
    return int(costs[-1])
