"""The levels of a quantizer, row by row: which code a weight gets, and which weight a code stands for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Codebook:
    """Levels (R, K), ascending, and the edges (R, K - 1) between their cells; codes are 0 .. K - 1."""

    levels: Rows
    edges: Rows

    @classmethod
    def nearest(cls, levels: Rows) -> "Codebook":
        """The codebook in which every weight goes to the nearest level."""
        return cls(levels, (levels[:, 1:] + levels[:, :-1]) / 2)

    def take(self, rows: NDArray[np.intp]) -> "Codebook":
        """The codebook of the rows that `rows` names, each as often as it is named."""
        return Codebook(self.levels[rows], self.edges[rows])

    def scaled(self, factor: Rows) -> "Codebook":
        """Every level of a row times its factor (R,), which is above zero."""
        return Codebook(self.levels * factor[:, None], self.edges * factor[:, None])

    def snapped(self) -> "tuple[Codebook, NDArray[np.float32]]":
        """The codebook with its levels moved to the nearest of 255 equal steps, and the step (R,).

        The integer kernels want 8-bit weights: levels of -127 .. 127 steps. The edges stay where they are.
        """
        step = (np.abs(self.levels).max(axis=1) / 127).astype(np.float32)
        step = np.where(step > 0, step, np.float32(1))
        return Codebook(np.rint(self.levels / step[:, None]) * step.astype(np.float64)[:, None], self.edges), step

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """The codes (R, n) of weights (R, n)."""
        codes = np.zeros(rows.shape, np.uint8)
        for edge in self.edges.T:  # K passes over small integers beat a search for each weight
            codes += rows > edge[:, None]
        return codes.view(np.int8)

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """The weights (R, n) that codes (R, n) stand for."""
        return np.take_along_axis(self.levels.astype(np.float32), codes.view(np.uint8).astype(np.intp), axis=1)


@dataclass(frozen=True)
class TernaryCodebook:
    """Levels -s, 0 and s, with a threshold below which a weight becomes zero; scale s and threshold are (R,)."""

    scale: NDArray[np.float32]
    threshold: Rows

    def take(self, rows: NDArray[np.intp]) -> "TernaryCodebook":
        """The codebook of the rows that `rows` names, each as often as it is named."""
        return TernaryCodebook(self.scale[rows], self.threshold[rows])

    def scaled(self, factor: Rows) -> "TernaryCodebook":
        """Every level of a row times its factor (R,), which is above zero."""
        return TernaryCodebook((self.scale * factor).astype(np.float32), self.threshold * factor)

    @property
    def levels(self) -> Rows:
        """(R, 3), ascending."""
        return self.scale.astype(np.float64)[:, None] * np.arange(-1, 2)

    @property
    def edges(self) -> Rows:
        """(R, 2)."""
        return np.stack([-self.threshold, self.threshold], axis=1)

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """The codes (R, n), -1, 0 or 1, of weights (R, n)."""
        beyond = np.abs(rows) > self.threshold[:, None]
        return (np.sign(rows) * beyond).astype(np.int8)

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """The weights (R, n) that codes (R, n) stand for, exactly as a DequantizeLinear computes them."""
        weights: NDArray[np.float32] = codes * self.scale[:, None]
        return weights


@dataclass(frozen=True)
class UniformCodebook:
    """Levels k scale for k = -qmax .. qmax (narrow range, so that the grid is symmetric); scale is (R,) float32."""

    scale: NDArray[np.float32]
    qmax: int

    def take(self, rows: NDArray[np.intp]) -> "UniformCodebook":
        """The codebook of the rows that `rows` names, each as often as it is named."""
        return UniformCodebook(self.scale[rows], self.qmax)

    def scaled(self, factor: Rows) -> "UniformCodebook":
        """Every level of a row times its factor (R,), which is above zero."""
        return UniformCodebook((self.scale * factor).astype(np.float32), self.qmax)

    @property
    def levels(self) -> Rows:
        """(R, 2 qmax + 1), ascending."""
        return self.scale.astype(np.float64)[:, None] * np.arange(-self.qmax, self.qmax + 1)

    @property
    def edges(self) -> Rows:
        """(R, 2 qmax): a weight between two edges gets the level between them."""
        levels = self.levels
        return (levels[:, 1:] + levels[:, :-1]) / 2

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """The codes (R, n), -qmax .. qmax, of weights (R, n)."""
        steps = np.rint(rows / self.scale[:, None])
        codes: NDArray[np.int8] = np.clip(steps, -self.qmax, self.qmax, out=steps).astype(np.int8)
        return codes

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """The weights (R, n) that codes (R, n) stand for, exactly as a DequantizeLinear computes them."""
        weights: NDArray[np.float32] = codes * self.scale[:, None]
        return weights


AnyCodebook = Codebook | TernaryCodebook | UniformCodebook
