"""The distributions that were fitted to a layer's weights."""

from quant.outcome.report.base import Figure, ReportModel


class RowFit(ReportModel):
    """The distribution chosen for one row: the weights that share a scale."""

    channel: int | None
    """Number of the output channel; null where a row is a block or the whole weight."""
    family: str
    """Name of the chosen family."""
    parameters: dict[str, Figure]
    """Location and scale in the weight's unit, and the shape parameter of a family that has one."""
    ks: Figure
    """Kolmogorov-Smirnov distance between the weights and the fit, 0 to 1."""
    log_likelihood: Figure
    """Log-likelihood of the row's non-zero weights, in nats."""
    aic: Figure
    """Akaike's criterion, in nats; the least value wins."""
    bic: Figure
    """Schwarz's criterion, in nats; the least value wins."""


class CandidateFamily(ReportModel):
    """One family over all rows of the layer that it is a candidate for."""

    family: str
    """Name of the family."""
    rows: int
    """Number of rows that the family is a candidate for."""
    log_likelihood: Figure
    """Log-likelihood summed over these rows, in nats."""
    aic: Figure
    """Akaike's criterion summed over these rows, in nats."""
    bic: Figure
    """Schwarz's criterion summed over these rows, in nats."""
    ks: Figure
    """Mean Kolmogorov-Smirnov distance over the rows where it was measured; null where it was measured in none."""
