"""Error feedback: weights are rounded input by input, and later weights compensate for earlier rounding errors.

A layer's outputs are W x. Rounding W to V costs the mean squared output error

    tr (W - V) H (W - V)^T,    H = E[x x^T].

With U^T U = (H + d I)^-1 and U upper triangular, the rounding error e of input k changes the weight of each later
input j by -e U_kj / U_kk (Hassibi and Stork, 1993). Inputs are rounded in order of falling energy H_kk, in blocks
(GPTQ: Frantar et al., 2022). Coordinate descent then chooses each input's level again with all others fixed. See
docs/methods.md, 'Error feedback'.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from quant.methods.grids.codebook import AnyCodebook
from quant.methods.rounding.base import Matrix, Problem, RoundingBase, ToGrid

BLOCK = 64
"""Inputs whose errors are collected before one matrix product passes them on to the later inputs."""
MIN_ENERGY = 1e-6
"""Energy of an input, relative to the mean, below which its weight is not chosen again: any weight costs nothing."""


class Feedback(RoundingBase):
    """Error feedback, the common part of both plug-ins. See docs/methods.md, 'Error feedback'."""

    needs_moments: ClassVar[bool] = True
    sweeps: int = Field(default=1, ge=0, le=100, description="how often every level is chosen again, the others fixed")
    damping: float = Field(default=0.01, gt=0, le=1, description="added to the moments' diagonal, relative to its mean")

    def for_search(self) -> RoundingBase:
        """Return the rounding without sweeps, which take half of the time."""
        return self.model_copy(update={"sweeps": 0})

    def round(self, problem: Problem, codebook: AnyCodebook) -> Matrix:
        """Return levels (G, O, K) of nearly the least output error tr (W - V) H (W - V)^T."""
        matrix, hessian, to_grid = problem.matrix.astype(np.float64), problem.hessian, problem.to_grid(codebook)
        diagonal = np.diagonal(hessian, axis1=1, axis2=2)
        order = np.argsort(-diagonal.sum(axis=0), kind="stable")
        factor = _inverse_factor(hessian[:, order][:, :, order], self.damping)
        remaining, values = matrix[:, :, order], np.empty_like(matrix)
        for start in range(0, len(order), BLOCK):
            block = slice(start, min(start + BLOCK, len(order)))
            columns = _inputs_first(remaining[:, :, block])
            errors, within = np.empty_like(columns), _inputs_first(factor[:, block, block])
            for at, column in enumerate(columns):
                rounded = to_grid(column, int(order[start + at]))
                values[:, :, order[start + at]] = rounded
                errors[at] = error = (column - rounded) / within[at, :, at, None]
                columns[at + 1 :] -= within[at + 1 :, :, at, None] * error
            remaining[:, :, block.stop :] -= np.moveaxis(errors, 0, -1) @ factor[:, block, block.stop :]
        for _ in range(self.sweeps):
            _refine(matrix, hessian, order, values, to_grid)
        return values


class ErrorFeedback(Feedback):
    """Later weights compensate for the rounding errors of earlier ones; needs calibration data."""

    name: Literal["error_feedback"] = "error_feedback"
    needs_data: ClassVar[bool] = True


class ExpectedFeedback(Feedback):
    """Error feedback that, without calibration data, uses input moments inferred from BatchNormalization layers."""

    name: Literal["expected_feedback"] = "expected_feedback"


def _refine(
    matrix: NDArray[np.float64],
    hessian: NDArray[np.float64],
    order: NDArray[np.intp],
    values: NDArray[np.float64],
    to_grid: ToGrid,
) -> None:
    """Choose the level of each input again in place, the others fixed: coordinate descent never raises the error.

    The changes of a block of inputs are passed on to the slope of the error in one matrix product.
    """
    slope = (matrix - values) @ hessian
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)
    active = diagonal > MIN_ENERGY * diagonal.mean(axis=1, keepdims=True)
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        slopes, current = _inputs_first(slope[:, :, block]), _inputs_first(values[:, :, block])
        changes, within = np.empty_like(slopes), _inputs_first(hessian[:, block][:, :, block])
        for at, k in enumerate(block):
            best = current[at] + slopes[at] / np.where(active[:, k], diagonal[:, k], np.inf)[:, None]
            chosen = np.where(active[:, k, None], to_grid(best, int(k)), current[at])
            changes[at], current[at] = chosen - current[at], chosen
            slopes[at + 1 :] -= within[at + 1 :, :, at, None] * changes[at]
        values[:, :, block] = np.moveaxis(current, 0, -1)
        slope -= np.moveaxis(changes, 0, -1) @ hessian[:, block]


def _inputs_first(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a contiguous copy (K, G, O) of (G, O, K), so that the weights of one input are adjacent in memory."""
    return np.ascontiguousarray(np.moveaxis(part, -1, 0))


def _inverse_factor(hessian: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Return the upper triangular U (G, K, K) with U^T U = (H + d I)^-1; an input that is always zero stays apart.

    With H = R R^T and R upper triangular, which is Cholesky's factorization in reversed order, U = R^-1.
    """
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)
    lift = damping * diagonal.mean(axis=1, keepdims=True) + np.where(diagonal > 0, 0.0, 1.0)
    damped = hessian + lift[:, :, None] * np.eye(hessian.shape[1])
    lower = np.linalg.cholesky(damped[:, ::-1, ::-1])
    return np.linalg.inv(lower)[:, ::-1, ::-1]
