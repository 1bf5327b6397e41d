"""Mean shift: the difference of the means that quantization causes at each layer's output, before and after correction.

The mean shift of a layer is |E[quantized - float]|, averaged over its channels, after the activation that reads the
layer. The model with and the model without bias correction are measured on the same samples. See docs/methods.md, 'Bias
correction'.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.correction.twin import twin_session, with_channels
from quant.data.dataset import Dataset
from quant.graph.inventory import Layer
from quant.graph.weightless import Weightless

PRECISION = 0.1
"""The standard error, as a share of the shift, below which no further samples are run."""
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

    @property
    def is_precise(self) -> bool:
        """True if the standard error is below `PRECISION` times the shift."""
        return self.standard_error is not None and self.standard_error <= PRECISION * self.value


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


def measure_mean_shifts(
    float_model: Weightless,
    uncorrected: ir.Model | None,
    quantized: ir.Model,
    layers: Sequence[Layer],
    samples: Dataset,
    progress: Callable[[int, int], None],
) -> MeanShifts:
    """Return the mean shifts of the layers, from as many samples as make each of them precise, or from all.

    Args:
        float_model: the float model.
        uncorrected: the quantized model without bias correction; None if no bias was corrected.
        quantized: the quantized model.
        layers: the layers to compare; those without a channel axis are left out.
        samples: the samples, run batch by batch.
        progress: called with the samples completed and the samples in total.

    Raises:
        ExportError: the models do not run as one.
    """
    layers = with_channels(layers)
    if not layers:
        return MeanShifts({}, 0, "no layer has an output with channels")
    samples = _in_small_batches(samples)
    models = [quantized] if uncorrected is None else [uncorrected, quantized]
    twins = [twin_session(float_model, model, layers, feed_back=False, energies=False)[0] for model in models]
    sums = [_Sums(layers) for _ in twins]
    used = 0
    for feeds in samples.watched(progress):
        for twin, side in zip(twins, sums, strict=True):
            side.add(twin.run(feeds))
        used = min(used + samples.batch, samples.used)
        if sums[0].batches >= MIN_BATCHES and all(shift.is_precise for side in sums for shift in side.shifts()):
            break
    after = sums[-1].shifts()
    before: Sequence[MeanShift | None] = [None] * len(layers) if uncorrected is None else sums[0].shifts()
    shifts = [LayerShift(*sides) for sides in zip(before, after, strict=True)]
    by_name = {layer.name: shift for layer, shift in zip(layers, shifts, strict=True)}
    return MeanShifts(by_name, used, "no bias was corrected" if uncorrected is None else None)


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
