"""Weights are rounded one input after the other, and those still to come make up for the errors made."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from quant.methods.grids.codebook import AnyCodebook
from quant.methods.rounding.base import Matrix, Problem, RoundingBase, ToGrid

BLOCK = 64
"""Inputs whose errors are gathered before they are passed on to the rest in one product."""
NOTHING = 1e-6
"""Of the inputs' mean energy: what has less could take any weight at no cost, and keeps its own."""


class Feedback(RoundingBase):
    """Each input's rounding error is compensated by the weights still to round, as far as their inputs go together."""

    needs_moments: ClassVar[bool] = True
    sweeps: int = Field(default=1, ge=0, le=100, description="how often every choice is made anew, the others given")
    damping: float = Field(default=0.01, gt=0, le=1, description="added to the moments' diagonal, relative to its mean")

    def round(self, problem: Problem, codebook: AnyCodebook) -> Matrix:
        """Values (G, O, K) of nearly the least (W - V) H (W - V)^T (Frantar et al., 2022: GPTQ, blocked, in the order
        of falling input energy; Hassibi and Stork, 1993, for the compensation).

        With U^T U = H^-1, U upper triangular, the error e of input k moves a later weight j by -e U_kj / U_kk.
        """
        matrix, hessian, to_grid = problem.matrix.astype(np.float64), problem.hessian, problem.to_grid(codebook)
        diagonal = np.diagonal(hessian, axis1=1, axis2=2)
        order = np.argsort(-diagonal.sum(axis=0), kind="stable")
        factor = _factor(hessian[:, order][:, :, order], self.damping)
        left, values = matrix[:, :, order], np.empty_like(matrix)
        for start in range(0, len(order), BLOCK):
            block = slice(start, min(start + BLOCK, len(order)))
            here = _inputs_first(left[:, :, block])
            errors, within = np.empty_like(here), _inputs_first(factor[:, block, block])
            for at, now in enumerate(here):
                rounded = to_grid(now, int(order[start + at]))
                values[:, :, order[start + at]] = rounded
                errors[at] = error = (now - rounded) / within[at, :, at, None]
                here[at + 1 :] -= within[at + 1 :, :, at, None] * error
            left[:, :, block.stop :] -= np.moveaxis(errors, 0, -1) @ factor[:, block, block.stop :]
        for _ in range(self.sweeps):
            _refine(matrix, hessian, order, values, to_grid)
        return values


class ErrorFeedback(Feedback):
    """Each input's rounding error is compensated by the weights still to round; needs calibration data."""

    name: Literal["error_feedback"] = "error_feedback"
    needs_data: ClassVar[bool] = True


class ExpectedFeedback(Feedback):
    """Error feedback that, without calibration data, goes by the inputs that BatchNormalization layers promise."""

    name: Literal["expected_feedback"] = "expected_feedback"


def _refine(
    matrix: NDArray[np.float64],
    hessian: NDArray[np.float64],
    order: NDArray[np.intp],
    values: NDArray[np.float64],
    to_grid: ToGrid,
) -> None:
    """Choose each input's values anew, the others given: coordinate descent, which never raises the error.

    What a block of inputs changes for the others is passed on in one product.
    """
    slope = (matrix - values) @ hessian
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)
    seen = diagonal > NOTHING * diagonal.mean(axis=1, keepdims=True)
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        here, now = _inputs_first(slope[:, :, block]), _inputs_first(values[:, :, block])
        changes, within = np.empty_like(here), _inputs_first(hessian[:, block][:, :, block])
        for at, k in enumerate(block):
            best = now[at] + here[at] / np.where(seen[:, k], diagonal[:, k], np.inf)[:, None]
            chosen = np.where(seen[:, k, None], to_grid(best, int(k)), now[at])
            changes[at], now[at] = chosen - now[at], chosen
            here[at + 1 :] -= within[at + 1 :, :, at, None] * changes[at]
        values[:, :, block] = np.moveaxis(now, 0, -1)
        slope -= np.moveaxis(changes, 0, -1) @ hessian[:, block]


def _inputs_first(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """A copy (K, G, O) of (G, O, K), so that what belongs to one input lies together."""
    return np.ascontiguousarray(np.moveaxis(part, -1, 0))


def _factor(hessian: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """The upper triangular U (G, K, K) with U^T U = (H + d I)^-1; an input that is always zero stays by itself.

    H = R R^T with R upper triangular, which is Cholesky from the last input to the first, gives U = R^-1.
    """
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)
    lift = damping * diagonal.mean(axis=1, keepdims=True) + np.where(diagonal > 0, 0.0, 1.0)
    damped = hessian + lift[:, :, None] * np.eye(hessian.shape[1])
    lower = np.linalg.cholesky(damped[:, ::-1, ::-1])
    return np.linalg.inv(lower)[:, ::-1, ::-1]
