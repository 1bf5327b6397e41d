"""A row's non-zero weights as weighted points; the NumPy reference is `quant.methods.distributions.sample`."""

from quant.kernel.compile import Array, inner

Parameters = tuple[float, float, float]
"""Location, scale and shape of a fitted distribution."""


@inner
def read_sample(
    weights: Array,
    exact: bool,
    counts: Array,
    edges: Array,
    unit: float,
    degenerate: bool,
    width: int,
    merged: int,
    points: Array,
    shares: Array,
) -> int:
    """Fill points, ascending, in units of `unit`, and shares, which add up to 1; return the number of points.

    The points are the non-zero weights themselves if `exact`. Otherwise `merged` neighbouring bins of counts (2, BINS)
    become one, and the points are the centres of the `width` highest of these bins that hold weights, for each sign.
    A `degenerate` row gets the points -1 and 1.
    """
    if degenerate:
        points[0], points[1] = -1.0, 1.0
        shares[0], shares[1] = 0.5, 0.5
        return 2
    if exact:
        return _read_weights(weights, unit, points, shares)
    return _read_bins(counts, edges, unit, width, merged, points, shares)


@inner
def _read_weights(weights: Array, unit: float, points: Array, shares: Array) -> int:
    number = 0
    for weight in weights:
        if weight != 0:
            points[number] = weight / unit
            number += 1
    points[:number].sort()
    shares[:number] = 1 / number
    return number


@inner
def _read_bins(counts: Array, edges: Array, unit: float, width: int, merged: int, points: Array, shares: Array) -> int:
    top = highest_bin(counts) // merged
    lowest = max(top - width + 1, 0)
    number = top - lowest + 1
    shares[: 2 * number] = 0
    total = 0
    for side in range(2):
        for column in range((top + 1) * merged):
            bin_number = max(column // merged - lowest, 0)
            shares[number + bin_number if side else number - 1 - bin_number] += counts[side, column]
            total += counts[side, column]
    for bin_number in range(number):
        column = (lowest + bin_number) * merged
        points[number + bin_number] = (edges[column] + edges[column + merged]) / 2 / unit
        points[number - 1 - bin_number] = -points[number + bin_number]
    shares[: 2 * number] /= total
    return 2 * number


@inner
def highest_bin(counts: Array) -> int:
    """Return the highest bin of counts (2, BINS) that holds a weight; the last bin if none does."""
    for column in range(counts.shape[1] - 1, -1, -1):
        if counts[0, column] + counts[1, column]:
            return column
    return counts.shape[1] - 1


@inner
def reaches(shares: Array, number: int, share: float) -> tuple[int, float]:
    """Return the first point at which the cumulative share reaches `share`, and the cumulative share there."""
    reached, at = 0.0, 0
    for at in range(number):
        reached += shares[at]
        if reached >= share * (1 - 1e-12):
            break
    return at, reached


@inner
def quantile(points: Array, shares: Array, number: int, share: float) -> float:
    """Return the quantile below which `share` of the weights lies, interpolated between neighbouring points."""
    at, reached = reaches(shares, number, share)
    inside = max(shares[at], 1e-300)
    below = (points[max(at - 1, 0)] + points[at]) / 2
    above = (points[min(at + 1, number - 1)] + points[at]) / 2
    return below + (above - below) * (share - reached + inside) / inside


@inner
def drop_empty(points: Array, shares: Array, number: int) -> int:
    """Remove the points whose share is 0, in place; return the number of points left."""
    count = 0
    for at in range(number):
        if shares[at] > 0:
            points[count], shares[count] = points[at], shares[at]
            count += 1
    return count


@inner
def spread_about(points: Array, shares: Array, number: int, location: float) -> tuple[float, float]:
    """Return the means of |x - location| and (x - location)^2."""
    absolute, square = 0.0, 0.0
    for at in range(number):
        deviation = points[at] - location
        absolute += shares[at] * abs(deviation)
        square += shares[at] * deviation * deviation
    return absolute, square
