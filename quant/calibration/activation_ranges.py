"""Activation ranges, found in one pass over the calibration set."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.histogram import Histogram
from quant.calibration.observers import Tensors, clip_limits, extremes_sources
from quant.errors import ModelError
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.ranges.base import Evidence, Observed, Range
from quant.methods.registry import DISTRIBUTIONS
from quant.spec import Activations

FIT_SAMPLE = 1024
"""At most so many values of each batch of a tensor are kept for a fit, evenly spaced over the batch."""


@dataclass(frozen=True)
class ActivationRange:
    """The range of one tensor, zero included, and the integers that it is mapped to.

    Attributes:
        minimum: the smallest value of the range, at most 0.
        maximum: the largest value of the range, at least 0.
        bits: the bits of a code, 8 or 16.
        symmetric: True if zero lies in the middle of the codes.
    """

    minimum: float
    maximum: float
    bits: int = 8
    symmetric: bool = False

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The type of the codes: signed if the range is symmetric, else unsigned."""
        return np.dtype(f"{'int' if self.symmetric else 'uint'}{self.bits}")

    @property
    def scale(self) -> np.float32:
        """The range divided by its number of steps, in the tensor's unit; 1 for a tensor that is always zero."""
        largest = 2**self.bits - 1
        if self.symmetric:
            span = max(-self.minimum, self.maximum) / (largest // 2)
        else:
            span = (self.maximum - self.minimum) / largest
        return np.float32(span) if np.float32(span) > 0 else np.float32(1)

    @property
    def zero_point(self) -> np.integer:
        """The code of zero, which is represented exactly."""
        code = 0 if self.symmetric else np.clip(np.rint(-self.minimum / float(self.scale)), 0, 2**self.bits - 1)
        return self.dtype.type(code)

    @property
    def representable(self) -> tuple[float, float]:
        """The smallest and the largest value that a code represents; quantization saturates there."""
        integers = np.iinfo(self.dtype)
        scale, zero_point = float(self.scale), int(self.zero_point)
        return (int(integers.min) - zero_point) * scale, (int(integers.max) - zero_point) * scale


class RangeObserver:
    """Observer that finds the range of each named float tensor by the rule of the spec."""

    def __init__(self, graph: ir.Graph, names: Sequence[str], activations: Activations) -> None:
        rule = activations.clipping
        only_extremes = rule.evidence == "extremes"
        self._sources = extremes_sources(graph, names) if only_extremes else dict(zip(names, names, strict=True))
        self._activations = activations
        self._tensors = {name: TensorObserver(rule.evidence) for name in names}
        self._limits = {} if rule.needs_every_batch else clip_limits(graph, names)

    def wants(self, number: int) -> Collection[str]:
        """Return the tensors whose range may still grow: a tensor that reached its clip limits is not read again."""
        return [
            source
            for name, source in self._sources.items()
            if name not in self._limits or self._tensors[name].extremes != self._limits[name]
        ]

    def add(self, number: int, values: Tensors) -> None:
        """Observe one batch.

        Raises:
            ModelError: a tensor is NaN or infinite.
        """
        for name, source in self._sources.items():
            if source in values:
                self._tensors[name].add(name, values[source])

    def ranges(self) -> dict[str, dict[str, ActivationRange]]:
        """Return the range of each tensor over all batches, for each candidate rule by its name."""
        bits, symmetric = self._activations.bits, self._activations.symmetric
        levels = 2**bits - (1 if symmetric else 0)
        evidence = {name: tensor.observed() for name, tensor in self._tensors.items()}
        return {
            rule.name: {
                name: ActivationRange(*rule.range(observed, levels), bits, symmetric)
                for name, observed in evidence.items()
            }
            for rule in self._activations.clipping.candidates
        }


def tie(ranges: Mapping[str, ActivationRange], ties: Mapping[str, str]) -> dict[str, ActivationRange]:
    """Return the ranges with those of tied tensors added.

    Args:
        ranges: the ranges by the tensor's name.
        ties: for each tensor that must share the scale of another, the other's name: the operators between the two
            only move values.
    """
    return {**ranges, **{name: ranges[root] for name, root in ties.items()}}


class TensorObserver:
    """The evidence from the batches of one tensor: a few numbers, a histogram or a sample, as the rule needs.

    Attributes:
        extremes: the smallest and the largest value of all batches, zero included.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.extremes: Range = (0.0, 0.0)
        self._batches: list[Range] = []
        self._histogram = Histogram() if evidence == "histogram" else None
        self._samples: list[NDArray[np.float32]] | None = [] if evidence == "fit" else None

    def add(self, name: str, value: NDArray[np.generic]) -> None:
        """Observe the values of one batch.

        Raises:
            ModelError: a value is NaN or infinite.
        """
        flat = np.asarray(value, np.float32).reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not np.isfinite((low, high)).all():
            raise ModelError(
                f"tensor {name!r} is NaN or infinite on the calibration data; "
                "accepted: calibration data for which it is finite"
            )
        self.extremes = min(self.extremes[0], low), max(self.extremes[1], high)
        self._batches.append((low, high))
        if self._histogram is not None:
            self._histogram.add(flat, max(-low, high))
        if self._samples is not None:
            self._samples.append(flat[:: -(-flat.size // FIT_SAMPLE)].copy())

    def observed(self) -> Observed:
        """Return the evidence for a range rule."""
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
