"""The distribution chosen for each row, with every candidate's figures beside it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.distributions.fitted import Fitted, Rows, join


@dataclass(frozen=True)
class FamilyFit:
    """One family fitted to every row: log-likelihood in nats, K-S distance, AIC and BIC, each (R,).

    AIC and BIC are infinite where the family is no candidate for a row, the distance where it was not measured.
    """

    fitted: Fitted
    log_likelihood: Rows
    ks: Rows
    aic: Rows
    bic: Rows


@dataclass(frozen=True)
class Fit:
    """R rows, each with its chosen candidate; the methods of `Fitted` delegate row by row.

    `compiled` is whether to work on them with compiled dispatch.
    """

    candidates: tuple[FamilyFit, ...]
    chosen: NDArray[np.intp]
    notes: tuple[str, ...] = field(default=())
    compiled: bool = False

    @property
    def family(self) -> tuple[str, ...]:
        """The chosen family's name of each row."""
        return tuple(self.candidates[index].fitted.family for index in self.chosen)

    def cdf(self, x: Rows) -> Rows:
        return self._each(lambda fitted, rows: fitted.cdf(x[rows]), x.shape)

    def tail(self, bound: Rows) -> Rows:
        """P(|X| > bound), of bound's shape (R,) or (R, K)."""
        return self._each(lambda fitted, rows: fitted.tail(bound[rows]), bound.shape)

    def abs_pdf(self, bound: Rows) -> Rows:
        """The density of |X|."""
        return self._each(lambda fitted, rows: fitted.abs_pdf(bound[rows]), bound.shape)

    def tail_moment(self, bound: Rows) -> Rows:
        """E[|X|; |X| > bound]."""
        return self._each(lambda fitted, rows: fitted.tail_moment(bound[rows]), bound.shape)

    def abs_quantile(self, tail: float) -> Rows:
        """About where P(|X| > bound) = tail, (R,): a start for Newton."""
        return self._each(lambda fitted, _: fitted.abs_quantile(tail), self.chosen.shape)

    def partial_moments(self, x: Rows) -> Rows:
        """P(X > x), E[X; X > x] and E[X^2; X > x], stacked: (3, *x.shape)."""
        return self._each(lambda fitted, rows: np.stack(fitted.partial_moments(x[rows])), (3, *x.shape), axis=1)

    def loop_arguments(self) -> tuple[NDArray[np.int64], Rows, Rows, Rows] | None:
        """What compiled loops need: each row's family by its number there, location, scale and shape, each (R,).

        None where they are not to be used, or a family was chosen that they do not know.
        """
        if not self.compiled:
            return None
        code, location, scale, shape = np.zeros(self.chosen.shape, np.int64), *np.ones((3, len(self.chosen)))
        for rows, fitted in self.groups():
            if fitted.family not in dispatch.FAMILIES:
                return None
            code[rows] = dispatch.FAMILIES.index(fitted.family)
            location[rows], scale[rows], shape[rows] = fitted.location, fitted.scale, fitted.shape_for(fitted.scale)
        return code, location, scale, shape

    def describe(self, row: int) -> dict[str, object]:
        """The chosen family's parameters and figures of one row, for the report."""
        candidate = self.candidates[int(self.chosen[row])]
        fitted = candidate.fitted
        parameters = {"location": float(fitted.location[row]), "scale": float(fitted.scale[row])}
        if fitted.shape is not None and fitted.shape_name is not None:
            parameters[fitted.shape_name] = float(fitted.shape[row])
        return {
            "family": fitted.family,
            "parameters": parameters,
            "ks": float(candidate.ks[row]),
            "log_likelihood": float(candidate.log_likelihood[row]),
            "aic": float(candidate.aic[row]),
            "bic": float(candidate.bic[row]),
        }

    def candidates_summary(self) -> list[dict[str, object]]:
        """Each family over the rows that it is a candidate for: how many, their log-likelihood, AIC, BIC, mean K-S."""
        summary: list[dict[str, object]] = []
        for candidate in self.candidates:
            rows = np.isfinite(candidate.aic)
            entry: dict[str, object] = {"family": candidate.fitted.family, "rows": int(rows.sum())}
            for name in ("log_likelihood", "aic", "bic"):
                entry[name] = float(getattr(candidate, name)[rows].sum())
            measured = candidate.ks[np.isfinite(candidate.ks)]
            summary.append({**entry, "ks": float(measured.mean()) if measured.size else None})
        return summary

    def take(self, rows: NDArray[np.intp]) -> "Fit":
        """The choice for some of the rows, without the candidates' figures."""
        return Fit(
            tuple(replace(one, fitted=one.fitted.take(rows)) for one in self.candidates), self.chosen[rows], self.notes
        )

    def groups(self) -> Iterator[tuple[NDArray[np.bool_], Fitted]]:
        """Each family that was chosen, with the mask (R,) of its rows and its fit to them."""
        for index, candidate in enumerate(self.candidates):
            rows = self.chosen == index
            if rows.any():
                yield rows, candidate.fitted.take(rows)

    def _each(self, call: Callable[[Fitted, NDArray[np.bool_]], Rows], shape: tuple[int, ...], axis: int = 0) -> Rows:
        """Call each family for the rows that chose it, and put its values (rows along `axis`) together."""
        values = np.empty(shape)
        for rows, fitted in self.groups():
            values[(slice(None),) * axis + (rows,)] = call(fitted, rows)
        return values


def concatenate(fits: Sequence[Fit]) -> Fit:
    """The fits of consecutive rows to the same families as one."""
    kinds = [
        FamilyFit(
            join([one.fitted for one in parts]),
            *(np.concatenate([getattr(one, name) for one in parts]) for name in ("log_likelihood", "ks", "aic", "bic")),
        )
        for parts in zip(*(fit.candidates for fit in fits), strict=True)
    ]
    return Fit(tuple(kinds), np.concatenate([fit.chosen for fit in fits]))
