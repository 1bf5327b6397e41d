"""Activation ranges from what one pass over the calibration set shows: each batch is reduced and dropped."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.histogram import Histogram
from quant.calibration.observers import Tensors, extremes_of, limits_of
from quant.errors import ModelError
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.ranges.base import Evidence, Observed, Range
from quant.methods.registry import DISTRIBUTIONS
from quant.spec import Activations

SAMPLE = 1024
"""Values of one tensor and batch that are kept for a fit, evenly spaced over the batch."""


@dataclass(frozen=True)
class ActivationRange:
    """The range of one tensor, zero included, and the integers that it is mapped to."""

    minimum: float
    maximum: float
    bits: int = 8
    symmetric: bool = False

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """Unsigned where zero may lie anywhere, signed where it lies in the middle."""
        return np.dtype(f"{'int' if self.symmetric else 'uint'}{self.bits}")

    @property
    def scale(self) -> np.float32:
        """One step: the range over its number of steps; 1 for a tensor that is always zero."""
        largest = 2**self.bits - 1
        if self.symmetric:
            span = max(-self.minimum, self.maximum) / (largest // 2)
        else:
            span = (self.maximum - self.minimum) / largest
        return np.float32(span) if np.float32(span) > 0 else np.float32(1)

    @property
    def zero_point(self) -> np.integer:
        """The code of zero, which is exact."""
        code = 0 if self.symmetric else np.clip(np.rint(-self.minimum / float(self.scale)), 0, 2**self.bits - 1)
        return self.dtype.type(code)

    @property
    def representable(self) -> tuple[float, float]:
        """The least and the greatest value that a code stands for; quantizing saturates there."""
        integers = np.iinfo(self.dtype)
        scale, zero_point = float(self.scale), int(self.zero_point)
        return (int(integers.min) - zero_point) * scale, (int(integers.max) - zero_point) * scale


class RangeObserver:
    """Finds the range of each named float tensor by the spec's rule; what it keeps of a batch is a few numbers."""

    def __init__(self, graph: ir.Graph, names: Sequence[str], activations: Activations) -> None:
        evidence = activations.clipping.evidence
        self._shown_by = extremes_of(graph, names) if evidence == "extremes" else dict(zip(names, names, strict=True))
        self._activations = activations
        self._seen = {name: _Seen(evidence) for name in names}
        self._limits = {} if activations.clipping.needs_every_batch else limits_of(graph, names)

    def wants(self, number: int) -> Collection[str]:
        """What may still widen a range: not what has reached the limits that it is clipped to."""
        return [
            shown
            for name, shown in self._shown_by.items()
            if name not in self._limits or self._seen[name].extremes != self._limits[name]
        ]

    def add(self, number: int, values: Tensors) -> None:
        """See one batch.

        Raises:
            ModelError: a tensor became NaN or infinite.
        """
        for name, shown in self._shown_by.items():
            if shown in values:
                self._seen[name].add(name, values[shown])

    def ranges(self) -> dict[str, dict[str, ActivationRange]]:
        """The range of each tensor over all that was seen, by the name of each rule that is a candidate."""
        bits, symmetric = self._activations.bits, self._activations.symmetric
        levels = 2**bits - (1 if symmetric else 0)
        observed = {name: seen.observed() for name, seen in self._seen.items()}
        return {
            rule.name: {
                name: ActivationRange(*rule.range(one, levels), bits, symmetric) for name, one in observed.items()
            }
            for rule in self._activations.clipping.candidates
        }


def tie(ranges: Mapping[str, ActivationRange], ties: Mapping[str, str]) -> dict[str, ActivationRange]:
    """The ranges with those of tensors that must share another's scale: the operator between only moves values."""
    return {**ranges, **{name: ranges[root] for name, root in ties.items()}}


class _Seen:
    """What one tensor's batches are reduced to; `extremes` are those of all, zero included."""

    def __init__(self, evidence: Evidence) -> None:
        self.extremes: Range = (0.0, 0.0)
        self._batches: list[Range] = []
        self._histogram = Histogram() if evidence == "histogram" else None
        self._samples: list[NDArray[np.float32]] | None = [] if evidence == "fit" else None

    def add(self, name: str, value: NDArray[np.generic]) -> None:
        flat = np.asarray(value, np.float32).reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not np.isfinite((low, high)).all():
            raise ModelError(f"tensor {name!r} is NaN or infinite on the calibration data")
        self.extremes = min(self.extremes[0], low), max(self.extremes[1], high)
        self._batches.append((low, high))
        if self._histogram is not None:
            self._histogram.add(flat, max(-low, high))
        if self._samples is not None:
            self._samples.append(flat[:: -(-flat.size // SAMPLE)].copy())

    def observed(self) -> Observed:
        extremes = Observed(np.array(self._batches or [(0.0, 0.0)], np.float64))
        if self._histogram is not None:
            return Observed(extremes.batches, self._histogram.edges, self._histogram.counts)
        if self._samples is None:
            return extremes
        sample = np.concatenate(self._samples or [np.zeros(0, np.float32)])
        sample = sample[sample != 0]
        if not sample.size:
            return extremes
        row = np.concatenate([sample, -sample]) if extremes.one_sided else sample
        statistics = summarise(row[None])
        return Observed(extremes.batches, statistics=statistics, fit=select(statistics, tuple(DISTRIBUTIONS), "aic"))
