"""The float and the quantized model as one graph on the same inputs, compared at every layer while they run.

At each layer the difference of the channel means is fed back before the quantized side goes on: what is measured
further down is then free of the shifts that bias correction will remove. Means are those of what the next layers see:
below zero a Relu hides the difference, and correcting it there takes from the values that it lets through. The outputs
are reductions alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from quant.dataset import Dataset
from quant.errors import ExportError
from quant.graph.inventory import Layer
from quant.metrics import sqnr_db
from quant.runtime import Session
from quant.sites import channel_axis, output_channels
from quant.twin_graph import build_twin, past

_NEVER = np.array([[0.0], [np.inf]])
"""What was seen of a layer that is not to be corrected: infinitely many positions without a difference."""


@dataclass(frozen=True)
class LayerDifference:
    """Quantized less float at one layer's output over the whole set, in the output's unit.

    `shift` (C,) is the mean difference of each channel behind the activation that reads it, with the layers before it
    corrected; `correction` (C,) what added to the layer's bias makes the squared difference there least, to first
    order: the mean over the positions where either side is active. The energies are sums over all samples and
    positions of the output as it is corrected.
    """

    shift: NDArray[np.float64]
    correction: NDArray[np.float64]
    signal: float
    noise: float
    quantized: float

    @property
    def sqnr_db(self) -> float:
        return sqnr_db(self.signal, self.noise)

    @property
    def cosine(self) -> float | None:
        """(|x|^2 + |y|^2 - |x - y|^2) / 2 |x| |y|; None where a side is zero, or too large for float32's sums."""
        size = float(np.sqrt(self.signal * self.quantized))
        finite = np.isfinite([size, self.noise]).all()
        return (self.signal + self.quantized - self.noise) / (2 * size) if finite and size > 0 else None


def compare_layers(
    float_model: onnx.ModelProto,
    quantized_model: onnx.ModelProto,
    layers: Sequence[Layer],
    dataset: Dataset,
    progress: Callable[[int, int], None],
    *,
    feed_back: bool,
) -> dict[str, LayerDifference]:
    """The difference at each layer by name, from one run over the set; with `feed_back` each layer's correction so far
    is added before the next layer sees it (Finkelstein et al., 2019, without a run per layer).

    Requires: both models have the layers under the same node names. Layers without a channel axis are left out.

    Raises:
        ExportError: the models do not run as one.
    """
    layers = [layer for layer in layers if channel_axis(layer) is not None]
    if not layers:
        return {}
    twin = Session(build_twin(float_model, quantized_model, layers), "the twin graph", ExportError, fold_weights=True)
    channels = {layer.name: output_channels(layer) for layer in layers}
    seen = {name: np.zeros((2, size)) for name, size in channels.items()}
    energy = dict.fromkeys(channels, np.zeros(3))
    done = 0
    for feeds in dataset.batches():
        before = {past(name): (one if feed_back else one * 0 + _NEVER).astype(np.float32) for name, one in seen.items()}
        found = iter(twin.run({**feeds, **before}))
        for name in channels:
            now, energies = (np.asarray(next(found), np.float64) for _ in range(2))
            seen[name], energy[name] = seen[name] + now, energy[name] + energies
        done = min(done + dataset.batch, dataset.used)
        progress(done, dataset.used)
    return {
        name: LayerDifference(-total / len(dataset.numbers), total / active, *map(float, energy[name]))
        for name, (total, active) in seen.items()
    }
