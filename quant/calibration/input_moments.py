"""Moments of layer inputs, which give the error at a layer's output for any error of its weights."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MEAN_UNCERTAINTY = 0.1
"""The relative error of inferred means. Measured on the layers of a MobileNet: 0.03 to 0.14 of their norm."""
MAX_INPUTS = 4608
"""Layers with more inputs (170 MB of second moments) get a sample of rows instead."""


class HasMean(Protocol):
    """The mean of the rows x that a layer's weights multiply, for G groups of K inputs."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean E[x_k] of each input (G, K)."""


class Moments(Protocol):
    """Moments of the rows x that a layer's weights (G, O, K) multiply, for G groups of O outputs and K inputs."""

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """The mean square E[x_k^2] of each input (G, K)."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean E[x_k] of each input (G, K)."""

    def energy(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return E[(a x)^2] of each output (G, O) for weights a (G, O, K)."""

    def energies(
        self, weights: NDArray[np.floating], other: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return E[(a x)^2] and E[(a x)(b x)] of each output (G, O) for weights a and b (G, O, K)."""


@dataclass(frozen=True)
class InputMean:
    """The mean E[x] (G, K) of the rows x, float64: what is needed of moments once the weights are quantized."""

    mean: NDArray[np.float64]


@dataclass(frozen=True)
class SecondMoments:
    """Second moments E[x x^T] (G, K, K) and means E[x] (G, K) of the rows x, float64."""

    square: NDArray[np.float64]
    mean: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance (G, K, K), which gives the output error that remains after bias correction."""
        return self.square - self.mean[:, :, None] * self.mean[:, None, :]

    @cached_property
    def diagonal(self) -> NDArray[np.float64]:
        """The mean square E[x_k^2] of each input (G, K)."""
        return np.diagonal(self.square, axis1=1, axis2=2)

    def energy(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return E[(a x)^2] = a E[x x^T] a^T of each output (G, O) for weights a (G, O, K)."""
        energy: NDArray[np.float64] = np.einsum("gok,gok->go", weights @ self.square, weights)
        return energy

    def energies(
        self, weights: NDArray[np.floating], other: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return E[(a x)^2] and E[(a x)(b x)] of each output (G, O) for weights a and b (G, O, K)."""
        product = weights @ self.square
        return np.einsum("gok,gok->go", product, weights), np.einsum("gok,gok->go", product, other)


@dataclass(frozen=True)
class InferredMoments(SecondMoments):
    """Moments that were inferred, not measured; channels are taken to be independent, which they are not.

    Attributes:
        active_excess: E[y | active] - E[y] of each output channel y (C,), where active positions are those at which the
            activation after the layer is not constant; 0 (1,) if it is unknown.
    """

    active_excess: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    @property
    def is_independent(self) -> bool:
        """True if all inputs are taken to be independent, so that error feedback rounds to nearest."""
        return False

    def after_bias_correction(self) -> "InferredMoments":
        """Return the moments that give the errors left after a bias correction by the inferred means."""
        return InferredMoments(without_known_mean(self), self.mean, self.active_excess)


def without_known_mean(moments: SecondMoments) -> NDArray[np.float64]:
    """Return the second moments (G, K, K) of what is left of the inputs after the mean error was corrected.

    The covariance remains, and the part of the mean that is uncertain.
    """
    uncertain: NDArray[np.float64] = MEAN_UNCERTAINTY**2 * moments.mean[:, :, None] * moments.mean[:, None, :]
    return moments.covariance + uncertain


@dataclass(frozen=True)
class InputSample:
    """A sample (G, n, K) of the n rows that a layer's weights multiply, float32."""

    rows: NDArray[np.float32]

    @cached_property
    def diagonal(self) -> NDArray[np.float64]:
        """The mean square E[x_k^2] of each input (G, K)."""
        total: NDArray[np.float64] = np.einsum("gnk,gnk->gk", self.rows, self.rows, dtype=np.float64)
        return np.divide(total, self.rows.shape[1])

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """The mean E[x_k] of each input (G, K)."""
        mean: NDArray[np.float64] = self.rows.mean(axis=1, dtype=np.float64)
        return mean

    def energy(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return E[(a x)^2] of each output (G, O) for weights a (G, O, K)."""
        outputs = self._outputs(weights)
        return _mean_product(outputs, outputs)

    def energies(
        self, weights: NDArray[np.floating], other: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return E[(a x)^2] and E[(a x)(b x)] of each output (G, O) for weights a and b (G, O, K)."""
        outputs = self._outputs(weights)
        return _mean_product(outputs, outputs), _mean_product(outputs, self._outputs(other))

    def _outputs(self, weights: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the outputs (G, n, O) of the sampled rows."""
        outputs: NDArray[np.float32] = self.rows @ weights.astype(np.float32).swapaxes(1, 2)
        return outputs


def _mean_product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean over the n rows of the products of outputs (G, n, O): (G, O)."""
    total: NDArray[np.float64] = np.einsum("gno,gno->go", left, right, dtype=np.float64)
    return np.divide(total, left.shape[1])
