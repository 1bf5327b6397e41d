"""The picture of a layer's weights: histogram, fitted densities, clip bounds, levels, error curve and quantiles.

Every row is divided by its own chosen clip bound, and the rows are pooled. All positions are therefore in units of the
bound: 1 is the chosen bound.
"""

from typing import Annotated, Literal

from pydantic import Field

from quant.outcome.report.base import Figure, Relative, ReportModel, Share

MAX_BINS = 64
"""The most bins of a histogram."""
CURVE_POINTS = 33
"""The number of bounds at which the error is known."""
MAX_QUANTILES = 33
"""The most quantiles that are compared."""

ChosenFor = Literal["weight_error", "output_error", "model_output", "rule"]
"""The error that a clip bound is least for."""


class Histogram(ReportModel):
    """The pooled non-zero weights in bins of equal width, first bin lowest."""

    low: Relative
    """Lower edge of the first bin."""
    width: Relative
    """Width of every bin."""
    counts: Annotated[tuple[int, ...], Field(max_length=MAX_BINS)]
    """Weights in each bin."""
    below: int
    """Weights below the first bin."""
    above: int
    """Weights above the last bin."""
    zeros: int
    """Weights that are exactly zero, which no bin counts; no distribution is fitted to them."""


class ErrorCurve(ReportModel):
    """The error of the layer's weights if every row had its chosen bound times a common factor.

    The levels are scaled with the bound, and every weight goes to its nearest level. Errors are means over the pooled
    weights. The measured ones take the weights of a bin as spread evenly over it.
    """

    bound: Annotated[tuple[Relative, ...], Field(max_length=CURVE_POINTS)]
    """Factors, ascending; 1 is the chosen bound."""
    expected_mse: tuple[Figure, ...]
    """Mean squared error expected of the chosen fits and each row's largest weight, in the weight's unit squared."""
    measured_mse: tuple[Figure, ...]
    """Mean squared error measured on the weights, in the weight's unit squared."""
    expected_mae: tuple[Figure, ...]
    """Mean absolute error expected of the chosen fits and each row's largest weight, in the weight's unit."""
    measured_mae: tuple[Figure, ...]
    """Mean absolute error measured on the weights, in the weight's unit."""
    chosen_for: ChosenFor
    """The error that the chosen bound is least for: `weight_error` of the weights, `output_error` of the layer's
    output, `model_output` of the whole model's output among its candidates, or `rule` if the rule follows no error."""


class Quantiles(ReportModel):
    """Quantiles of the pooled non-zero weights against those of the chosen fits, for a Q-Q plot."""

    probability: Annotated[tuple[Share, ...], Field(max_length=MAX_QUANTILES)]
    """Probabilities of the quantiles, ascending."""
    expected: tuple[Relative, ...]
    """Quantiles of the mixture of the chosen fits."""
    observed: tuple[Relative, ...]
    """Quantiles of the weights."""


class Picture(ReportModel):
    """The weights of one layer in units of the clip bound that was chosen for their row."""

    unit: Literal["bound"] = "bound"
    """The unit of all positions."""
    rows: int
    """Rows that are pooled: all, or a part at even distances where there are many."""
    weights: int
    """Weights that are pooled."""
    histogram: Histogram
    """The weights."""
    densities: dict[str, tuple[Figure, ...] | None]
    """By family, the density at the centre of every bin: the mean over the rows that the family is a candidate for.
    The unit is 1 / bound. Null if it is a candidate for no row."""
    chosen_density: tuple[Figure, ...] | None
    """The same for the fit that was chosen in each row."""
    clip_bounds: dict[str, Relative | None]
    """By clip rule, the mean over at most 8 rows of the rule's bound divided by the chosen one; null where the rule
    gives none. Rules with options have their defaults; `auto`, which chooses among others, is left out."""
    levels: tuple[Relative, ...] | None
    """Levels of the grid, ascending, each the mean over the rows; null for equally spaced levels."""
    level_step: Relative | None
    """Distance of equally spaced levels, which are its multiples from -1 to 1; null for other levels."""
    curve: ErrorCurve
    """The error against the bound."""
    quantiles: Quantiles
    """The quantiles, given each row's largest weight."""
