"""Comparison at the layers' outputs: the mean shifts before and after bias correction, and the energy of the error.

The mean shift of a layer is |E[quantized - float]|, averaged over its channels, after the activation that reads the
layer. All figures are measured on the same samples: one run of a twin graph for the model with bias correction, and one
for the model without. See docs/methods.md, 'Bias correction'.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.correction.twin import twin_session, with_channels
from quant.data.dataset import Dataset
from quant.evaluation.sqnr import sqnr_db
from quant.graph.inventory import Layer
from quant.graph.weightless import Weightless

MIN_BATCHES = 8
"""Batches from which a standard error is trusted; smaller sets are cut into smaller batches."""


@dataclass(frozen=True)
class MeanShift:
    """A mean shift in the output's unit.

    Attributes:
        value: the mean over channels of |E[quantized - float]|.
        standard_error: the mean over channels of the standard error of that expectation, which is an upper bound on
            the standard error of `value`; None for a single batch.
    """

    value: float
    standard_error: float | None


@dataclass(frozen=True)
class LayerShift:
    """The mean shift of one layer's output in the quantized model.

    Attributes:
        before: without bias correction; None if no bias was corrected.
        after: in the quantized model as it is exported.
    """

    before: MeanShift | None
    after: MeanShift


@dataclass(frozen=True)
class MeanShifts:
    """The mean shifts of a model's layers, all measured on the same samples.

    Attributes:
        layers: the shifts by the layer's name.
        samples: the number of samples.
        reason: why a figure is missing; None if none is.
    """

    layers: dict[str, LayerShift]
    samples: int
    reason: str | None = None

    def total(self) -> LayerShift | None:
        """Return the sums over the layers; their standard errors are sums, too, hence upper bounds."""
        if not self.layers:
            return None
        before = [shift.before for shift in self.layers.values() if shift.before is not None]
        return LayerShift(_sum(before) if before else None, _sum([shift.after for shift in self.layers.values()]))


@dataclass(frozen=True)
class LayerDifference:
    """The difference between the quantized and the float output of a layer over a dataset, in the output's unit.

    Attributes:
        shift: the mean of quantized - float in each channel (C,), after the activation that reads the layer.
        signal: the energy of the float output, a sum over all samples and positions.
        quantized: the energy of the quantized output.
        noise: the energy of their difference.
    """

    shift: NDArray[np.float64]
    signal: float
    quantized: float
    noise: float

    @property
    def sqnr_db(self) -> float:
        """The ratio of signal to noise energy in dB."""
        return sqnr_db(self.signal, self.noise)

    @property
    def cosine(self) -> float | None:
        """The cosine similarity (|x|^2 + |y|^2 - |x - y|^2) / (2 |x| |y|) of both outputs.

        None if an output is zero, or an energy is infinite in float32.
        """
        size = float(np.sqrt(self.signal * self.quantized))
        finite = np.isfinite([size, self.noise]).all()
        return (self.signal + self.quantized - self.noise) / (2 * size) if finite and size > 0 else None


@dataclass(frozen=True)
class LayerComparison:
    """The figures at the layers' outputs: the differences by the layer's name, and the mean shifts."""

    shifts: MeanShifts
    differences: Mapping[str, LayerDifference] = field(default_factory=dict)


def compare_layers(
    float_model: Weightless,
    uncorrected: ir.Model | None,
    quantized: ir.Model,
    layers: Sequence[Layer],
    samples: Dataset,
    progress: Callable[[int, int], None],
) -> LayerComparison:
    """Return the differences and the mean shifts of the layers, measured on all samples.

    Args:
        float_model: the float model.
        uncorrected: the quantized model without bias correction; None if no bias was corrected.
        quantized: the quantized model.
        layers: the layers to compare; those without a channel axis are left out.
        samples: the samples, run in small batches: the twin graphs hold all compared tensors of a batch.
        progress: called with the samples completed and the samples in total.

    Raises:
        ExportError: the models do not run as one.
    """
    layers = with_channels(layers)
    if not layers:
        return LayerComparison(MeanShifts({}, 0, "no layer has an output with channels"))
    samples = _in_small_batches(samples)
    earlier: Sequence[MeanShift | None] = [None] * len(layers)
    if uncorrected is not None:
        earlier = _shifts(float_model, uncorrected, layers, samples)
    twin = twin_session(float_model, quantized, layers, feed_back=False)[0]
    after, energies = _Sums(layers), np.zeros((len(layers), 3))
    for feeds in samples.watched(progress):
        outputs = twin.run(feeds)
        after.add(outputs[::2])
        energies += np.array(outputs[1::2], np.float64)
    shifts = {
        layer.name: LayerShift(*sides)
        for layer, sides in zip(layers, zip(earlier, after.shifts(), strict=True), strict=True)
    }
    differences = {
        layer.name: LayerDifference(-mean, *map(float, energy))
        for layer, mean, energy in zip(layers, after.means(), energies, strict=True)
    }
    reason = "no bias was corrected" if uncorrected is None else None
    return LayerComparison(MeanShifts(shifts, samples.used, reason), differences)


def _shifts(float_model: Weightless, quantized: ir.Model, layers: Sequence[Layer], samples: Dataset) -> list[MeanShift]:
    """Return the mean shifts alone; the memory of the twin graph is free again when the function returns."""
    twin = twin_session(float_model, quantized, layers, feed_back=False, energies=False)[0]
    sums = _Sums(layers)
    for feeds in samples.batches():
        sums.add(twin.run(feeds))
    return sums.shifts()


class _Sums:
    """Sums over batches of the channel means of float - quantized at each layer, and of their squares."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        ends = np.cumsum([0, *(layer.output_channels for layer in layers)])
        self._windows = [slice(*window) for window in pairwise(ends)]
        self._total, self._squares = np.zeros((2, ends[-1]))
        self.batches = 0

    def add(self, means: Sequence[NDArray[np.generic]]) -> None:
        """Add one batch: the means (1, C) of each layer."""
        batch = np.concatenate([np.asarray(mean, np.float64).reshape(-1) for mean in means])
        self._total += batch
        self._squares += batch**2
        self.batches += 1

    def means(self) -> list[NDArray[np.float64]]:
        """Return the mean of float - quantized in each channel (C,) of each layer."""
        return [self._total[window] / self.batches for window in self._windows]

    def shifts(self) -> list[MeanShift]:
        """Return the mean shift of each layer."""
        mean, count = self._total / self.batches, self.batches
        error = None
        if count > 1:
            with np.errstate(invalid="ignore"):
                error = np.sqrt(np.maximum(self._squares / count - mean**2, 0) / (count - 1))
        return [
            MeanShift(float(np.abs(mean[window]).mean()), None if error is None else float(error[window].mean()))
            for window in self._windows
        ]


def _sum(shifts: Sequence[MeanShift]) -> MeanShift:
    errors = [shift.standard_error for shift in shifts if shift.standard_error is not None]
    return MeanShift(sum(shift.value for shift in shifts), sum(errors) if len(errors) == len(shifts) else None)


def _in_small_batches(samples: Dataset) -> Dataset:
    """Return the samples in batches so small that there are `MIN_BATCHES` of them, as far as the model allows it."""
    samples = samples.halved()
    while len(samples.numbers) < MIN_BATCHES and (smaller := samples.halved()).batch < samples.batch:
        samples = smaller
    return samples
