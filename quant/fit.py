"""The distribution chosen for each row, with every candidate's figures beside it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quant.distributions.fitted import Fitted, Rows


@dataclass(frozen=True)
class Candidate:
    """One family fitted to every row: log-likelihood in nats, K-S distance, AIC and BIC, each (R,)."""

    fitted: Fitted
    log_likelihood: Rows
    ks: Rows
    aic: Rows
    bic: Rows


@dataclass(frozen=True)
class Fit:
    """R rows, each with its chosen candidate; the methods of `Fitted` delegate row by row."""

    candidates: tuple[Candidate, ...]
    chosen: NDArray[np.intp]
    notes: tuple[str, ...] = field(default=())

    @property
    def family(self) -> tuple[str, ...]:
        """The chosen family's name of each row."""
        return tuple(self.candidates[index].fitted.family for index in self.chosen)

    def pdf(self, x: Rows) -> Rows:
        return self._pick([candidate.fitted.pdf(x) for candidate in self.candidates])

    def tail(self, bound: Rows) -> Rows:
        """P(|X| > bound), (R,)."""
        return self._pick([candidate.fitted.tail(bound) for candidate in self.candidates])

    def bound(self, tail: float) -> Rows:
        """About where P(|X| > bound) = tail, (R,): a start for Newton."""
        return self._pick([candidate.fitted.bound(tail) for candidate in self.candidates])

    def partial_moments(self, x: Rows) -> tuple[Rows, Rows, Rows]:
        """P(X > x), E[X; X > x] and E[X^2; X > x], each of x's shape (R,) or (R, K)."""
        moments = [candidate.fitted.partial_moments(x) for candidate in self.candidates]
        first, second, third = (self._pick([m[k] for m in moments]) for k in range(3))
        return first, second, third

    def describe(self, row: int) -> dict[str, object]:
        """The chosen family's parameters and figures of one row, for the report."""
        candidate = self.candidates[int(self.chosen[row])]
        return {
            "family": candidate.fitted.family,
            "parameters": {
                "location": float(candidate.fitted.location[row]),
                "scale": float(candidate.fitted.scale[row]),
            },
            "ks": float(candidate.ks[row]),
            "log_likelihood": float(candidate.log_likelihood[row]),
            "aic": float(candidate.aic[row]),
            "bic": float(candidate.bic[row]),
        }

    def candidates_summary(self) -> list[dict[str, object]]:
        """Each family's total log-likelihood, AIC and BIC over the rows, and its mean K-S distance."""
        return [
            {
                "family": candidate.fitted.family,
                "ks": float(candidate.ks.mean()),
                "log_likelihood": float(candidate.log_likelihood.sum()),
                "aic": float(candidate.aic.sum()),
                "bic": float(candidate.bic.sum()),
            }
            for candidate in self.candidates
        ]

    def _pick(self, values: list[Rows]) -> Rows:
        index = self.chosen if values[0].ndim == 1 else self.chosen[:, None]
        return np.choose(index, values)
