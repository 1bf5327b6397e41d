"""Checks of the calibration set: data that give wrong activation ranges are reported before anyone relies on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.data.dataset import Dataset
from quant.data.findings import DataFinding

EVALUATION_SAMPLES = 256
"""Evaluation samples that are compared with the calibration set: enough for a share of 1%."""
MARGIN = 0.5
"""Values count as outside of the calibration range if they are beyond it by this share of its width."""
MAX_OUTSIDE = 0.01
"""The largest share of values outside that is not reported. Between two draws of 16 samples of one source it stays
below 0.001."""
MAX_SPREAD_RATIO = 4.0
"""The largest ratio of the standard deviations that is not reported. Pixels in 0..1 that were not normalised have a
ratio of 4.4 to those that were, pixels in 0..255 one of 255 to those in 0..1."""


@dataclass(frozen=True)
class InputRange:
    """The range of the finite values of one input.

    Attributes:
        low: the smallest value.
        high: the largest value.
        count: the number of values.
        deviation: their standard deviation.
        masked: True if the input has other values, too, such as -inf in a mask.
    """

    low: float
    high: float
    count: int
    deviation: float
    masked: bool

    @property
    def is_constant(self) -> bool:
        """True if every value is the same."""
        return self.low == self.high and not self.masked


def suspicions(calibration: Dataset, evaluation: Dataset | None) -> list[DataFinding]:
    """Return the findings on a calibration set, alone and compared with the evaluation set.

    - `calibration.one_sample`: only one sample is used.
    - `calibration.same_sample`: all samples are equal.
    - `calibration.all_zeros`, `calibration.constant`: all values of an input are equal.
    - `calibration.range_differs`: the evaluation set has values far outside of the range, or another spread.

    An integer or boolean input that is constant, such as the mask of complete sequences, is no finding if another input
    varies.
    """
    ranges = _ranges(calibration)
    floats = {name for name, source in calibration.sources.items() if _is_float(calibration, name) and source.samples}
    constant = {name: extent for name, extent in ranges.items() if extent.is_constant}
    if len(constant) < len(ranges):
        constant = {name: extent for name, extent in constant.items() if name in floats}
    findings = [_constant(name, extent) for name, extent in constant.items()]
    if calibration.used == 1:
        findings.append(DataFinding(
            "calibration.one_sample", "one calibration sample is used: activation ranges and biases follow it alone"
        ))  # fmt: skip
    elif len(constant) < len(ranges) and _repeats_one_sample(calibration):
        findings.append(DataFinding(
            "calibration.same_sample", f"all {calibration.used} calibration samples are equal: they count as one"
        ))  # fmt: skip
    if evaluation is not None:
        findings += _compared({name: ranges[name] for name in ranges if name in floats}, evaluation)
    return findings


def _is_float(data: Dataset, name: str) -> bool:
    return data.sources[name].batch(slice(0, 1)).dtype.kind == "f"


def _constant(name: str, extent: InputRange) -> DataFinding:
    value = f"{extent.low:g}"
    code = "calibration.constant" if extent.low else "calibration.all_zeros"
    return DataFinding(
        code,
        f"input {name!r} is constant in the calibration data, every value is {value}: "
        "activation ranges do not hold for other values",
        (name,),
    )


def _compared(ranges: Mapping[str, InputRange], evaluation: Dataset) -> list[DataFinding]:
    """Return a finding for each input whose evaluation data has another range than the calibration data."""
    part = evaluation.spread(EVALUATION_SAMPLES)
    others, outside = _ranges(part), _outside(ranges, part)
    findings = []
    for name, extent in ranges.items():
        other = others.get(name)
        if other is None or not extent.count or not other.count:
            continue
        share = outside[name] / other.count
        spreads = sorted((extent.deviation, other.deviation))
        if share > MAX_OUTSIDE or (spreads[1] > MAX_SPREAD_RATIO * spreads[0] and spreads[0] > 0):
            findings.append(_differs(name, extent, other, share))
    return findings


def _differs(name: str, extent: InputRange, other: InputRange, outside: float) -> DataFinding:
    return DataFinding(
        "calibration.range_differs",
        f"input {name!r} has another range in the calibration data than in the evaluation data: "
        f"{extent.low:.4g} to {extent.high:.4g} with a standard deviation of {extent.deviation:.4g}, against "
        f"{other.low:.4g} to {other.high:.4g} with {other.deviation:.4g}; {100 * outside:.3g}% of the evaluation "
        "values are far outside of the calibration range",
        (name,),
    )


def _ranges(data: Dataset) -> dict[str, InputRange]:
    """Return the range of each input that is a number and has a value for each sample."""
    sums: dict[str, NDArray[np.float64]] = {}
    names = [name for name, source in data.sources.items() if source.samples is not None]
    for feeds in data.batches():
        for name in names:
            if feeds[name].dtype.kind in "fiub":
                sums[name] = _joined(sums.get(name), _sums(feeds[name]))
    return {name: _range(total) for name, total in sums.items()}


def _sums(value: NDArray[Any]) -> NDArray[np.float64]:
    """Return -min, max, count, sum and sum of squares of the finite values, and the number of the others."""
    flat = value.reshape(-1)
    if flat.dtype.kind != "f" or flat.dtype.itemsize < 4:
        flat = flat.astype(np.float32)
    if not np.isfinite(flat).all():
        flat = flat[np.isfinite(flat)]
    if not flat.size:
        return np.array([-np.inf, -np.inf, 0, 0, 0, value.size])
    square = np.einsum("i,i->", flat, flat, dtype=np.float64)
    extremes, total = (-float(flat.min()), float(flat.max())), flat.sum(dtype=np.float64)
    return np.array([*extremes, flat.size, total, square, value.size - flat.size])


def _joined(left: NDArray[np.float64] | None, right: NDArray[np.float64]) -> NDArray[np.float64]:
    return right if left is None else np.concatenate([np.maximum(left[:2], right[:2]), left[2:] + right[2:]])


def _range(total: NDArray[np.float64]) -> InputRange:
    negative_low, high, count, values, squares, others = (float(number) for number in total)
    mean = values / count if count else 0.0
    deviation = float(np.sqrt(max(squares / count - mean * mean, 0.0))) if count else 0.0
    return InputRange(-negative_low, high, int(count), deviation, others > 0)


def _outside(ranges: Mapping[str, InputRange], data: Dataset) -> dict[str, int]:
    """Return the number of values of each input beyond its range and the margin."""
    counts = dict.fromkeys(ranges, 0)
    for feeds in data.batches():
        for name, extent in ranges.items():
            margin = MARGIN * (extent.high - extent.low)
            value = feeds[name][np.isfinite(feeds[name])]
            counts[name] += int(((value < extent.low - margin) | (value > extent.high + margin)).sum())
    return counts


def _repeats_one_sample(data: Dataset) -> bool:
    """Return True if every sample equals the first one in all inputs; the first difference ends the search."""
    axes = {name: source.axis for name, source in data.sources.items() if source.samples is not None}
    first: dict[str, NDArray[np.generic]] = {}
    for feeds in data.batches():
        for name, axis in axes.items():
            rows = feeds[name][None] if axis is None else np.moveaxis(feeds[name], axis, 0)
            same = first.setdefault(name, rows[:1].copy())
            if rows.shape[1:] != same.shape[1:] or not (rows == same).all():
                return False
    return True
