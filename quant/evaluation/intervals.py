"""Confidence intervals of 95 % for figures on a sample of all possible inputs."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from quant.evaluation.matched_pairs import NORMAL_95

Interval = tuple[float, float]
CHUNK = 100
"""The resamples that are formed at once, so that their multiplicities take little memory."""


def wilson(hits: int, samples: int) -> Interval:
    """Return the interval of a share (Wilson, 1927).

    Args:
        hits: the samples that count.
        samples: all samples, at least one.
    """
    square = NORMAL_95**2
    share = hits / samples
    centre = (share + square / (2 * samples)) / (1 + square / samples)
    spread = math.sqrt(share * (1 - share) / samples + square / (4 * samples**2)) * NORMAL_95 / (1 + square / samples)
    return max(centre - spread, 0.0), min(centre + spread, 1.0)


def bootstrap(
    values: Callable[[NDArray[np.int64]], Mapping[str, NDArray[np.float64]]], samples: int, resamples: int, seed: int
) -> dict[str, Interval | None]:
    """Return the percentile interval of each figure by the bootstrap over samples (Efron, 1979).

    Args:
        values: returns the figures (resamples,) for the multiplicities (resamples, samples) of the samples.
        samples: the number of samples.
        resamples: how often the samples are drawn again.
        seed: the seed of the draws.

    Returns:
        The interval by the figure's name; None with one sample, or where a resample lacks the figure.
    """
    rng = np.random.default_rng(seed)
    parts = [
        values(rng.multinomial(samples, np.full(samples, 1 / samples), size=min(CHUNK, resamples - start)))
        for start in range(0, resamples, CHUNK)
    ]
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: _percentiles(figures) if samples > 1 else None for name, figures in drawn.items()}


def _percentiles(figures: NDArray[np.float64]) -> Interval | None:
    if not np.isfinite(figures).all():
        return None
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)
