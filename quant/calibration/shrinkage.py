"""Shrinkage of covariances that are measured on few rows (Ledoit and Wolf, 2004)."""

import numpy as np
from numpy.typing import NDArray

from quant.calibration.input_moments import SecondMoments


def shrink_covariance(moments: SecondMoments, rows: NDArray[np.float32]) -> SecondMoments:
    """Return the moments with all covariances of different inputs multiplied by 1 - r, r between 0 and 1.

    With the covariances s_ij over n rows, the expected squared distance from the true ones is least for

        r = sum_(i != j) Var(s_ij) / sum_(i != j) s_ij^2,

    where Var(s_ij) is the variance of (x_i - E[x_i]) (x_j - E[x_j]) over the rows, divided by n (Schaefer and Strimmer,
    2005, target D).

    Args:
        moments: the moments of the rows, for G groups of K inputs.
        rows: the rows (G, n, K) that they were measured on, at least two.
    """
    covariance, count = moments.covariance, rows.shape[1]
    energy = np.einsum("gij,gij->g", covariance, covariance) - np.einsum("gii,gii->g", covariance, covariance)
    squares = (rows - moments.mean[:, None]) ** 2
    products = (squares.sum(axis=2) ** 2 - np.einsum("gnk,gnk->gn", squares, squares)).mean(axis=1)
    variance = np.maximum(products - energy, 0) / (count - 1)
    share = np.divide(variance, energy, out=np.zeros_like(energy), where=energy > 0).clip(0, 1)
    lost = share[:, None, None] * covariance
    lost[:, np.arange(lost.shape[1]), np.arange(lost.shape[1])] = 0
    return SecondMoments(moments.square - lost, moments.mean)
