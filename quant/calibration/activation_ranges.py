"""Activation ranges, found in one pass over the calibration set."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.histogram import Histogram
from quant.calibration.observers import Tensors, clip_limits, extremes_sources
from quant.errors import ModelError
from quant.graph.operators import joins
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.ranges.base import Evidence, Observed, Range
from quant.methods.registry import DISTRIBUTIONS
from quant.spec import Activations

FIT_SAMPLE = 1024
"""At most so many values of each batch of a tensor are kept for a fit, evenly spaced over the batch."""
UNLIKE_SCALES = 8.0
"""Parts of a concatenation whose scales differ by this factor lose three bits or more under one scale."""
NO_VALUES = np.zeros(0, np.float32)


@dataclass(frozen=True)
class ActivationRange:
    """The range of one tensor, zero included, and the integers that it is mapped to.

    Attributes:
        minimum: the smallest value of the range, at most 0.
        maximum: the largest value of the range, at least 0.
        bits: the bits of a code, 8 or 16.
        symmetric: True if zero lies in the middle of the codes.
        sign: the sign of the codes; `auto` is signed if the range is symmetric, else unsigned.
        power_of_two: True if the scale is the next power of two.
    """

    minimum: float
    maximum: float
    bits: int = 8
    symmetric: bool = False
    sign: Literal["auto", "signed", "unsigned"] = "auto"
    power_of_two: bool = False

    @classmethod
    def of(cls, bounds: Range, activations: Activations) -> "ActivationRange":
        """Return the range between two bounds with the codes that a section of the spec asks for."""
        power_of_two = activations.scale == "power_of_two"
        return cls(*bounds, activations.bits, activations.symmetric, activations.sign, power_of_two)

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The type of the codes."""
        return np.dtype(f"{'int' if self.signed else 'uint'}{self.bits}")

    @property
    def signed(self) -> bool:
        """True if codes may be negative."""
        return self.sign == "signed" or (self.sign == "auto" and self.symmetric)

    @property
    def scale(self) -> np.float32:
        """The range divided by its number of steps, in the tensor's unit; 1 for a tensor that is always zero."""
        largest = 2**self.bits - 1
        if self.symmetric:
            span = max(-self.minimum, self.maximum) / (largest // 2)
        else:
            span = (self.maximum - self.minimum) / largest
        if not np.float32(span) > 0:
            return np.float32(1)
        return np.float32(np.exp2(np.ceil(np.log2(span)))) if self.power_of_two else np.float32(span)

    @property
    def zero_point(self) -> np.integer:
        """The code of zero, which is represented exactly."""
        middle = 2 ** (self.bits - 1)
        steps = middle if self.symmetric else np.clip(np.rint(-self.minimum / float(self.scale)), 0, 2 * middle - 1)
        return self.dtype.type(int(steps) - (middle if self.signed else 0))

    @property
    def representable(self) -> tuple[float, float]:
        """The smallest and the largest value that a code represents; quantization saturates there."""
        integers = np.iinfo(self.dtype)
        scale, zero_point = float(self.scale), int(self.zero_point)
        return (int(integers.min) - zero_point) * scale, (int(integers.max) - zero_point) * scale


class RangeObserver:
    """Observer that finds the range of each named float tensor by the rule of the spec.

    Args:
        graph: the graph of the float model.
        names: the tensors to observe.
        activations: the section of the spec.
        held_out: the numbers of the batches on which candidates are compared.
    """

    def __init__(
        self, graph: ir.Graph, names: Sequence[str], activations: Activations, held_out: Collection[int] = ()
    ) -> None:
        rule = activations.clipping
        only_extremes = rule.evidence == "extremes"
        self._sources = extremes_sources(graph, names) if only_extremes else dict(zip(names, names, strict=True))
        self._activations = activations
        self._held_out = frozenset(held_out)
        self._tensors = {name: TensorObserver(rule.evidence) for name in names}
        self._limits = {} if rule.needs_every_batch else clip_limits(graph, names)

    def wants(self, number: int) -> Collection[str]:
        """Return the tensors whose range may still grow: a tensor that reached its clip limits is not read again."""
        return [
            source
            for name, source in self._sources.items()
            if name not in self._limits or self._tensors[name].fitting_extremes != self._limits[name]
        ]

    def add(self, number: int, values: Tensors) -> None:
        """Observe one batch.

        Raises:
            ModelError: a tensor is NaN or infinite.
        """
        for name, source in self._sources.items():
            if source in values:
                self._tensors[name].add(name, values[source], held_out=number in self._held_out)

    def ranges(self) -> dict[str, dict[str, ActivationRange]]:
        """Return the range of each tensor over all batches, for each candidate rule by its name."""
        return self._ranges({name: tensor.observed() for name, tensor in self._tensors.items()})

    def fitting_ranges(self) -> dict[str, dict[str, ActivationRange]]:
        """Return the same over the batches that are not held out."""
        return self._ranges({name: tensor.observed(held_out=False) for name, tensor in self._tensors.items()})

    def _ranges(self, evidence: Mapping[str, Observed]) -> dict[str, dict[str, ActivationRange]]:
        """Return the range of each tensor by its evidence, for each candidate rule by its name."""
        bits, symmetric = self._activations.bits, self._activations.symmetric
        levels = 2**bits - (1 if symmetric else 0)
        return {
            rule.name: {
                name: ActivationRange.of(rule.range(observed, levels), self._activations)
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


def unlike_concatenations(graph: ir.Graph, ranges: Mapping[str, ActivationRange]) -> set[str]:
    """Return the outputs of concatenations whose inputs have scales that differ by `UNLIKE_SCALES` or more.

    The scale of the whole would leave the parts with small values, such as the scores beside the boxes of a detector,
    few codes.
    """
    unlike = set()
    for node in graph:
        scales = [ranges[str(value.name)].scale for value in node.inputs if value and str(value.name) in ranges]
        if joins(node) and scales and max(scales) >= UNLIKE_SCALES * min(scales):
            unlike.add(str(node.outputs[0].name))
    return unlike


class TensorObserver:
    """The evidence from the batches of one tensor: a few numbers, a histogram or a sample, as the rule needs.

    The evidence of held-out batches is separate from that of the others.

    Attributes:
        fitting_extremes: the smallest and the largest value of all batches that are not held out, zero included.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.fitting_extremes: Range = (0.0, 0.0)
        self._evidence = evidence
        self._batches: list[_Batch] = []
        self._histograms = {False: Histogram(), True: Histogram()} if evidence == "histogram" else {}

    def add(self, name: str, value: NDArray[np.generic], *, held_out: bool = False) -> None:
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
        if not held_out:
            self.fitting_extremes = min(self.fitting_extremes[0], low), max(self.fitting_extremes[1], high)
        sample = flat[:: -(-flat.size // FIT_SAMPLE)].copy() if self._evidence == "fit" else NO_VALUES
        self._batches.append(_Batch(held_out, (low, high), sample))
        if self._histograms:
            self._histograms[held_out].add(flat, max(-low, high))

    def observed(self, *, held_out: bool = True) -> Observed:
        """Return the evidence for a range rule, with or without that of the held-out batches."""
        batches = [batch for batch in self._batches if held_out or not batch.held_out]
        extremes = Observed(np.array([batch.extremes for batch in batches] or [(0.0, 0.0)], np.float64))
        if self._histograms:
            histogram = self._histograms[False]
            histogram = histogram.plus(self._histograms[True]) if held_out else histogram
            return Observed(extremes.batches, histogram.edges, histogram.counts)
        sample = np.concatenate([NO_VALUES, *(batch.sample for batch in batches)])
        sample = sample[sample != 0]
        if not sample.size:
            return extremes
        row = np.concatenate([sample, -sample]) if extremes.one_sided else sample
        statistics = summarise(row[None])
        return Observed(extremes.batches, statistics=statistics, fit=select(statistics, tuple(DISTRIBUTIONS), "aic"))


@dataclass(frozen=True)
class _Batch:
    """The evidence of one batch: its extremes, and a sample of its values where a rule needs one."""

    held_out: bool
    extremes: Range
    sample: NDArray[np.float32]
