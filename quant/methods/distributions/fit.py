"""The family chosen for each row of a weight, with the criteria of every family that was fitted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from quant.kernel import dispatch
from quant.methods.distributions.fitted import FittedFamily, Rows, concatenate_rows

CRITERIA = ("log_likelihood", "ks", "aic", "bic")
"""The figures of a family's fit by which families are compared, in the order of `FamilyFit`."""


@dataclass(frozen=True)
class FamilyFit:
    """One family fitted to R rows, with the criteria that families are chosen by, each (R,).

    Attributes:
        fitted: The family's parameters.
        log_likelihood: Log-likelihood of the non-zero weights in nats.
        ks: Kolmogorov-Smirnov distance; infinite where it was not measured.
        aic: Akaike's criterion; infinite where the family is no candidate.
        bic: Schwarz's criterion; infinite where the family is no candidate.
    """

    fitted: FittedFamily
    log_likelihood: Rows
    ks: Rows
    aic: Rows
    bic: Rows


@dataclass(frozen=True)
class Fit:
    """The fits of several families to R rows, and the family that was chosen for each row.

    The methods named like those of `FittedFamily` evaluate the chosen family of each row.

    Attributes:
        candidates: The fit of each family, in the order of the spec.
        chosen: Index of the chosen candidate of each row (R,).
        notes: Sentences for the report about rows that could not be fitted as asked.
        compiled: True if compiled loops are to work on these rows.
    """

    candidates: tuple[FamilyFit, ...]
    chosen: NDArray[np.intp]
    notes: tuple[str, ...] = field(default=())
    compiled: bool = False

    @property
    def family(self) -> tuple[str, ...]:
        """The name of each row's chosen family."""
        return tuple(self.candidates[index].fitted.family for index in self.chosen)

    def cdf(self, x: Rows) -> Rows:
        """Return P(X <= x), of the shape of x: (R,) or (R, K)."""
        return self._evaluate(lambda fitted, rows: fitted.cdf(x[rows]), x.shape)

    def pdf(self, x: Rows) -> Rows:
        """Return the density of X at x, of the shape of x: (R,) or (R, K)."""
        return self._evaluate(lambda fitted, rows: fitted.pdf(x[rows]), x.shape)

    def tail(self, bound: Rows) -> Rows:
        """Return P(|X| > bound), of the bound's shape: (R,) or (R, K)."""
        return self._evaluate(lambda fitted, rows: fitted.tail(bound[rows]), bound.shape)

    def abs_pdf(self, bound: Rows) -> Rows:
        """Return the density of |X| at the bound, of the bound's shape: (R,) or (R, K)."""
        return self._evaluate(lambda fitted, rows: fitted.abs_pdf(bound[rows]), bound.shape)

    def tail_moment(self, bound: Rows) -> Rows:
        """Return E[|X|; |X| > bound], of the bound's shape: (R,) or (R, K)."""
        return self._evaluate(lambda fitted, rows: fitted.tail_moment(bound[rows]), bound.shape)

    def abs_quantile(self, tail: float) -> Rows:
        """Return approximately the bound (R,) with P(|X| > bound) = tail: a start for Newton."""
        return self._evaluate(lambda fitted, _: fitted.abs_quantile(tail), self.chosen.shape)

    def partial_moments(self, x: Rows) -> Rows:
        """Return P(X > x), E[X; X > x] and E[X^2; X > x], stacked: (3, *x.shape)."""
        return self._evaluate(lambda fitted, rows: np.stack(fitted.partial_moments(x[rows])), (3, *x.shape), axis=1)

    def loop_arguments(self) -> tuple[NDArray[np.int64], Rows, Rows, Rows] | None:
        """Return each row's family number, location, scale and shape, each (R,), as compiled loops take them.

        None if the loops are not to be used, or do not know a chosen family.
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
        """Return the report's entry for one row: the chosen family, its parameters and its criteria."""
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
        """Return the report's table of families: rows that each is a candidate for, summed criteria, mean K-S."""
        summary: list[dict[str, object]] = []
        for candidate in self.candidates:
            rows = np.isfinite(candidate.aic)
            entry: dict[str, object] = {"family": candidate.fitted.family, "rows": int(rows.sum())}
            for name in ("log_likelihood", "aic", "bic"):
                entry[name] = float(getattr(candidate, name)[rows].sum())
            measured = candidate.ks[np.isfinite(candidate.ks)]
            summary.append({**entry, "ks": float(measured.mean()) if measured.size else None})
        return summary

    def select_rows(self, rows: NDArray[np.intp]) -> "Fit":
        """Return the chosen families of the rows with these numbers, without the candidates' criteria."""
        return Fit(
            tuple(replace(candidate, fitted=candidate.fitted.select_rows(rows)) for candidate in self.candidates),
            self.chosen[rows],
            self.notes,
        )

    def at_scales(self, factors: Rows) -> "Fit":
        """Return the fit of one row as the fits of R rows, each of them scaled by its factor (R,), above zero."""
        rows = np.zeros(len(factors), np.intp)
        candidates = []
        for candidate in self.candidates:
            fitted = candidate.fitted.select_rows(rows)
            scaled = replace(fitted, location=fitted.location * factors, scale=fitted.scale * factors)
            criteria = (getattr(candidate, name)[rows] for name in CRITERIA)
            candidates.append(FamilyFit(scaled, *criteria))
        return Fit(tuple(candidates), self.chosen[rows], self.notes, self.compiled)

    def groups(self) -> Iterator[tuple[NDArray[np.bool_], FittedFamily]]:
        """Yield the mask (R,) of the rows that chose each family, with its fit to these rows."""
        for index, candidate in enumerate(self.candidates):
            rows = self.chosen == index
            if rows.any():
                yield rows, candidate.fitted.select_rows(rows)

    def _evaluate(
        self, call: Callable[[FittedFamily, NDArray[np.bool_]], Rows], shape: tuple[int, ...], axis: int = 0
    ) -> Rows:
        """Return the values that `call` gives for each family and its rows, put together along `axis`."""
        values = np.empty(shape)
        for rows, fitted in self.groups():
            values[(slice(None),) * axis + (rows,)] = call(fitted, rows)
        return values


def concatenate_fits(fits: Sequence[Fit]) -> Fit:
    """Return the fits of the same families to consecutive rows as one fit, without notes."""
    candidates = [
        FamilyFit(
            concatenate_rows([part.fitted for part in parts]),
            *(np.concatenate([getattr(part, name) for part in parts]) for name in CRITERIA),
        )
        for parts in zip(*(fit.candidates for fit in fits), strict=True)
    ]
    return Fit(tuple(candidates), np.concatenate([fit.chosen for fit in fits]))
