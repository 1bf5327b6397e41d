"""Retrieval: the nearest neighbour of each embedding, by cosine."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.errors import InputMismatch
from quant.methods.metrics.base import MetricBase, ShareScorer, Values
from quant.outcome.task_figures import EMBEDDING_COSINE, NEIGHBOUR_AGREEMENT, TaskFigure

ROWS = 512
"""The rows of the table of similarities that are held at once."""


class Retrieval(MetricBase):
    """Agreement of the nearest neighbours of embeddings, and their cosine; targets are group numbers."""

    figures: ClassVar[tuple[TaskFigure, ...]] = (NEIGHBOUR_AGREEMENT, EMBEDDING_COSINE)
    name: Literal["retrieval"] = "retrieval"

    def decode(self, outputs: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the embedding, flattened."""
        return outputs[0].astype(np.float64).reshape(-1)

    def target(self, values: NDArray[Any]) -> int:
        """Return the number of the sample's group."""
        if values.size != 1 or values.dtype.kind not in "iub":
            raise InputMismatch(
                f"metric {self.name}: a target is {values.dtype} of shape {list(values.shape)}; accepted: one integer, "
                "the group of the sample"
            )
        return int(values.reshape(-1)[0])

    def scorer(self) -> "Neighbours":
        """Return a scorer without samples."""
        return Neighbours()


class Neighbours(ShareScorer):
    """The embeddings of all samples, and those of the float model or the groups."""

    def __init__(self) -> None:
        self._embeddings: list[NDArray[np.float64]] = []
        self._references: list[Any] = []
        self._hits: NDArray[np.bool_] | None = None

    def add(self, prediction: NDArray[np.float64], reference: Any) -> None:
        """Add the embedding of one sample, with the float model's embedding or the sample's group."""
        self._embeddings.append(prediction)
        self._references.append(reference)
        self._hits = None

    def hits(self) -> NDArray[np.bool_]:
        """Return True for samples whose neighbour is the float model's, or has the same group, shape (samples,)."""
        if self._hits is None:
            nearest = nearest_neighbours(np.stack(self._embeddings))
            if isinstance(self._references[0], int):
                groups = np.asarray(self._references)
                self._hits = groups[nearest] == groups
            else:
                self._hits = nearest == nearest_neighbours(np.stack(self._references))
        return self._hits

    def values(self, counts: NDArray[np.int64]) -> Values:
        """Return the mean agreement and cosine; neighbours are sought among all samples."""
        if counts.shape[1] < 2:
            return {figure.name: np.full(len(counts), np.nan) for figure in Retrieval.figures}
        total = counts.sum(axis=1)
        shares = {NEIGHBOUR_AGREEMENT.name: counts @ self.hits() / total}
        if not isinstance(self._references[0], int):
            x, y = _unit(np.stack(self._embeddings)), _unit(np.stack(self._references))
            shares[EMBEDDING_COSINE.name] = counts @ (x * y).sum(axis=1) / total
        return shares


def nearest_neighbours(embeddings: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the nearest other sample by cosine for each sample, shape (samples,).

    Args:
        embeddings: shape (samples, dimensions), at least two samples; of equally near ones the first counts.
    """
    unit = _unit(embeddings)
    nearest = np.empty(len(unit), np.int64)
    for start in range(0, len(unit), ROWS):
        similarity = unit[start : start + ROWS] @ unit.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -np.inf
        nearest[start : start + ROWS] = similarity.argmax(axis=1)
    return nearest


def _unit(embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = embeddings / np.where(lengths > 0, lengths, 1)
    return scaled
