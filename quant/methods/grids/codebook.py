"""Codebooks: the levels of a quantizer for each row, with the codes of weights and the weights of codes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Codebook:
    """K levels of any spacing for each of R rows; a code is the index of a level, 0 .. K - 1.

    Attributes:
        levels: Levels (R, K), ascending, in the weight's unit.
        edges: Edges (R, K - 1) between the cells of the levels.
    """

    levels: Rows
    edges: Rows

    @classmethod
    def from_levels(cls, levels: Rows) -> "Codebook":
        """Return the codebook in which every weight goes to the nearest of the levels (R, K)."""
        return cls(levels, (levels[:, 1:] + levels[:, :-1]) / 2)

    def select_rows(self, rows: NDArray[np.intp]) -> "Codebook":
        """Return the codebook of the rows with these numbers, which may repeat."""
        return Codebook(self.levels[rows], self.edges[rows])

    def scaled(self, factor: Rows) -> "Codebook":
        """Return the codebook with the levels of each row multiplied by its factor (R,), above zero."""
        return Codebook(self.levels * factor[:, None], self.edges * factor[:, None])

    def snapped(self) -> "tuple[Codebook, NDArray[np.float32]]":
        """Return the codebook with its levels at the nearest of 255 equal steps, and the step (R,).

        Integer kernels take 8-bit weights, so levels become -127 .. 127 steps. The edges stay where they are.
        """
        step = (np.abs(self.levels).max(axis=1) / 127).astype(np.float32)
        step = np.where(step > 0, step, np.float32(1))
        return Codebook(np.rint(self.levels / step[:, None]) * step.astype(np.float64)[:, None], self.edges), step

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the codes (R, n) of weights (R, n)."""
        codes = np.zeros(rows.shape, np.uint8)
        for edge in self.edges.T:  # K passes over small integers are faster than a search for each weight
            codes += rows > edge[:, None]
        return codes.view(np.int8)

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Return the weights (R, n) of codes (R, n)."""
        return np.take_along_axis(self.levels.astype(np.float32), codes.view(np.uint8).astype(np.intp), axis=1)


@dataclass(frozen=True)
class TernaryCodebook:
    """The levels -s, 0 and s for each of R rows; a code is -1, 0 or 1.

    Attributes:
        scale: The level s (R,), above zero.
        threshold: Magnitude (R,) up to which a weight becomes zero.
    """

    scale: NDArray[np.float32]
    threshold: Rows

    @property
    def levels(self) -> Rows:
        """The levels (R, 3), ascending."""
        return self.scale.astype(np.float64)[:, None] * np.arange(-1, 2)

    @property
    def edges(self) -> Rows:
        """The edges (R, 2) between the cells of the levels."""
        return np.stack([-self.threshold, self.threshold], axis=1)

    def select_rows(self, rows: NDArray[np.intp]) -> "TernaryCodebook":
        """Return the codebook of the rows with these numbers, which may repeat."""
        return TernaryCodebook(self.scale[rows], self.threshold[rows])

    def scaled(self, factor: Rows) -> "TernaryCodebook":
        """Return the codebook with the levels of each row multiplied by its factor (R,), above zero."""
        return TernaryCodebook((self.scale * factor).astype(np.float32), self.threshold * factor)

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the codes (R, n) of weights (R, n)."""
        beyond = np.abs(rows) > self.threshold[:, None]
        return (np.sign(rows) * beyond).astype(np.int8)

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Return the weights (R, n) of codes (R, n), exactly as DequantizeLinear computes them."""
        weights: NDArray[np.float32] = codes * self.scale[:, None]
        return weights


@dataclass(frozen=True)
class UniformCodebook:
    """The levels k scale for each of R rows; a code is k = -qmax .. qmax.

    The lowest integer of the width is not used, so that the grid is symmetric.

    Attributes:
        scale: Distance between levels (R,), above zero.
        qmax: Largest code, 2^(bits-1) - 1.
    """

    scale: NDArray[np.float32]
    qmax: int

    @property
    def levels(self) -> Rows:
        """The levels (R, 2 qmax + 1), ascending."""
        return self.scale.astype(np.float64)[:, None] * np.arange(-self.qmax, self.qmax + 1)

    @property
    def edges(self) -> Rows:
        """The edges (R, 2 qmax) between the cells of the levels."""
        levels = self.levels
        return (levels[:, 1:] + levels[:, :-1]) / 2

    def select_rows(self, rows: NDArray[np.intp]) -> "UniformCodebook":
        """Return the codebook of the rows with these numbers, which may repeat."""
        return UniformCodebook(self.scale[rows], self.qmax)

    def scaled(self, factor: Rows) -> "UniformCodebook":
        """Return the codebook with the levels of each row multiplied by its factor (R,), above zero."""
        return UniformCodebook((self.scale * factor).astype(np.float32), self.qmax)

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the codes (R, n) of weights (R, n)."""
        steps = np.rint(rows / self.scale[:, None])
        codes: NDArray[np.int8] = np.clip(steps, -self.qmax, self.qmax, out=steps).astype(np.int8)
        return codes

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Return the weights (R, n) of codes (R, n), exactly as DequantizeLinear computes them."""
        weights: NDArray[np.float32] = codes * self.scale[:, None]
        return weights


@dataclass(frozen=True)
class MidRiseCodebook:
    """The levels k scale for each of R rows and odd k = -qmax .. qmax; a code is k.

    Zero is no level: it lies on the edge between the levels -scale and scale.

    Attributes:
        scale: Half the distance between levels (R,), above zero.
        qmax: Largest code, 2^bits - 1.
    """

    scale: NDArray[np.float32]
    qmax: int

    @property
    def levels(self) -> Rows:
        """The levels (R, qmax + 1), ascending."""
        return self.scale.astype(np.float64)[:, None] * np.arange(-self.qmax, self.qmax + 1, 2)

    @property
    def edges(self) -> Rows:
        """The edges (R, qmax) between the cells of the levels."""
        levels = self.levels
        return (levels[:, 1:] + levels[:, :-1]) / 2

    def select_rows(self, rows: NDArray[np.intp]) -> "MidRiseCodebook":
        """Return the codebook of the rows with these numbers, which may repeat."""
        return MidRiseCodebook(self.scale[rows], self.qmax)

    def scaled(self, factor: Rows) -> "MidRiseCodebook":
        """Return the codebook with the levels of each row multiplied by its factor (R,), above zero."""
        return MidRiseCodebook((self.scale * factor).astype(np.float32), self.qmax)

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the codes (R, n) of weights (R, n)."""
        steps = np.floor(rows / (2 * self.scale[:, None]))
        steps = 2 * steps + 1
        codes: NDArray[np.int8] = np.clip(steps, -self.qmax, self.qmax, out=steps).astype(np.int8)
        return codes

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Return the weights (R, n) of codes (R, n), exactly as DequantizeLinear computes them."""
        weights: NDArray[np.float32] = codes * self.scale[:, None]
        return weights


@dataclass(frozen=True)
class AffineCodebook:
    """The levels (k - zero) scale for each of R rows; a code is k = -qmax - 1 .. qmax.

    Attributes:
        scale: Distance between levels (R,), above zero.
        zero: Zero points (R,), int8: the codes that stand for 0.
        qmax: Largest code, 2^(bits-1) - 1.
    """

    scale: NDArray[np.float32]
    zero: NDArray[np.int8]
    qmax: int

    @property
    def levels(self) -> Rows:
        """The levels (R, 2 qmax + 2), ascending."""
        steps = np.arange(-self.qmax - 1, self.qmax + 1) - self.zero.astype(np.float64)[:, None]
        return self.scale.astype(np.float64)[:, None] * steps

    @property
    def edges(self) -> Rows:
        """The edges (R, 2 qmax + 1) between the cells of the levels."""
        levels = self.levels
        return (levels[:, 1:] + levels[:, :-1]) / 2

    def select_rows(self, rows: NDArray[np.intp]) -> "AffineCodebook":
        """Return the codebook of the rows with these numbers, which may repeat."""
        return AffineCodebook(self.scale[rows], self.zero[rows], self.qmax)

    def scaled(self, factor: Rows) -> "AffineCodebook":
        """Return the codebook with the levels of each row multiplied by its factor (R,), above zero."""
        return AffineCodebook((self.scale * factor).astype(np.float32), self.zero, self.qmax)

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the codes (R, n) of weights (R, n)."""
        steps = np.rint(rows / self.scale[:, None])
        steps += self.zero[:, None]
        codes: NDArray[np.int8] = np.clip(steps, -self.qmax - 1, self.qmax, out=steps).astype(np.int8)
        return codes

    def decode(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Return the weights (R, n) of codes (R, n), exactly as DequantizeLinear computes them."""
        steps = codes.astype(np.int16) - self.zero[:, None]
        weights: NDArray[np.float32] = steps * self.scale[:, None]
        return weights


AnyCodebook = AffineCodebook | Codebook | MidRiseCodebook | TernaryCodebook | UniformCodebook
