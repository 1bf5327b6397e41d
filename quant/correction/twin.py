"""The float and the quantized model as one graph on the same inputs, compared at every layer while they run.

At each layer the difference of the channel means is fed back before the quantized side goes on: what is measured
further down is then free of the shifts that bias correction will remove. Means are those of what the next layers see:
below zero a Relu hides the difference, and correcting it there takes from the values that it lets through. The outputs
are reductions alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.correction.twin_graph import build_twin, past
from quant.data.dataset import Dataset
from quant.errors import ExportError, ModelError
from quant.evaluation.metrics import sqnr_db
from quant.graph.inventory import Layer
from quant.graph.weightless import Weightless
from quant.runtime import Session


@dataclass(frozen=True)
class Correction:
    """What bias correction knows of one layer, with the layers before it corrected, in the output's unit.

    `shift` (C,) is the mean of quantized - float in each channel, behind the activation that reads the layer;
    `correction` (C,) what added to the layer's bias makes the squared difference there least, to first order: the mean
    of float - quantized over the positions where either side is active.
    """

    shift: NDArray[np.float64]
    correction: NDArray[np.float64]


@dataclass(frozen=True)
class LayerDifference:
    """Quantized less float at one layer's output over the whole set, in the output's unit.

    `shift` (C,) is the mean difference of each channel behind the activation that reads it; the energies, of the float
    output, the quantized one and their difference, are sums over all samples and positions.
    """

    shift: NDArray[np.float64]
    signal: float
    quantized: float
    noise: float

    @property
    def sqnr_db(self) -> float:
        return sqnr_db(self.signal, self.noise)

    @property
    def cosine(self) -> float | None:
        """(|x|^2 + |y|^2 - |x - y|^2) / 2 |x| |y|; None where a side is zero, or too large for float32's sums."""
        size = float(np.sqrt(self.signal * self.quantized))
        finite = np.isfinite([size, self.noise]).all()
        return (self.signal + self.quantized - self.noise) / (2 * size) if finite and size > 0 else None


def find_corrections(
    float_model: Weightless,
    quantized_model: ir.Model,
    layers: Sequence[Layer],
    dataset: Dataset,
    progress: Callable[[int, int], None],
) -> dict[str, Correction]:
    """Every layer's correction by name, from one run over the set: each layer's correction so far is added before the
    next layer sees it (Finkelstein et al., 2019, without a run per layer).

    Requires: both models have the layers under the same node names. Layers without a channel axis are left out.

    Raises:
        ExportError: the models do not run as one.
        ModelError: a layer's output is not finite on the set.
    """
    layers = _with_channels(layers)
    if not layers:
        return {}
    seen = {layer.name: np.zeros((2, layer.output_channels)) for layer in layers}
    twin = _session(float_model, quantized_model, layers, feed_back=True)
    for feeds in dataset.watched(progress):
        before = {past(name): one.astype(np.float32) for name, one in seen.items()}
        found = [np.asarray(one, np.float64) for one in twin.run({**feeds, **before})]
        seen = {name: one + now for (name, one), now in zip(seen.items(), found, strict=True)}
    overflowing = [name for name, sums in seen.items() if not np.isfinite(sums).all()]
    if overflowing:
        raise ModelError(f"layer {overflowing[0]!r} becomes NaN or infinite on the calibration data")
    return {name: Correction(-total / len(dataset.numbers), total / active) for name, (total, active) in seen.items()}


def compare_layers(
    float_model: Weightless,
    quantized_model: ir.Model,
    layers: Sequence[Layer],
    dataset: Dataset,
    progress: Callable[[int, int], None],
) -> dict[str, LayerDifference]:
    """The difference at each layer by name, from one run over the set.

    Requires and raises: as `find_corrections`.
    """
    layers = _with_channels(layers)
    if not layers:
        return {}
    sums = {layer.name: (np.zeros(layer.output_channels), np.zeros(3)) for layer in layers}
    twin = _session(float_model, quantized_model, layers, feed_back=False)
    for feeds in dataset.watched(progress):
        found = iter(np.asarray(one, np.float64) for one in twin.run(feeds))
        sums = {name: (shift + next(found)[0], energy + next(found)) for name, (shift, energy) in sums.items()}
    return {
        name: LayerDifference(-shift / len(dataset.numbers), *map(float, energy))
        for name, (shift, energy) in sums.items()
    }


def _with_channels(layers: Sequence[Layer]) -> list[Layer]:
    return [layer for layer in layers if layer.output_axis is not None]


def _session(
    float_model: Weightless, quantized_model: ir.Model, layers: Sequence[Layer], *, feed_back: bool
) -> Session:
    model = build_twin(float_model.proto, ir.to_proto(quantized_model), layers, feed_back=feed_back)
    # what is fed back orders the nodes anyway
    return Session(model, "the twin graph", ExportError, float_model.arrays, fold_weights=True, in_order=not feed_back)
