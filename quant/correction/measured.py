"""Measured bias correction: the quantized model runs with feedback beside the recorded means of the float model.

The difference of the channel means at a layer is added to the quantized model before its next layer runs. Differences
further down are then measured without the shifts that bias correction will remove. The means are taken after the
activation that reads the layer: a Relu hides differences below zero, and a correction of those would distort the values
that it lets through. The graph's outputs are means only, so it needs little memory.
See docs/methods.md, 'Bias correction'.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.correction.feedback_graph import add_feedback
from quant.correction.float_means import FloatMeans, Means
from quant.correction.layer_nodes import with_channels
from quant.data.dataset import Dataset
from quant.errors import ExportError, ModelError
from quant.graph.inventory import Layer
from quant.runtime import Session


@dataclass(frozen=True)
class Correction:
    """The measured shift of a layer and its correction, (C,) each, in the unit of the layer's output.

    Both are measured with the layers before this one corrected.

    Attributes:
        shift: the mean of quantized - float in each channel, after the activation that reads the layer.
        correction: the values to add to the layer's bias. To first order they minimise the squared difference after
            the activation: the mean of float - quantized over the positions where a side is active, of which there are
            at least as many as on the side with more of them.
    """

    shift: NDArray[np.float64]
    correction: NDArray[np.float64]


def find_corrections(
    means: Mapping[int, FloatMeans],
    quantized_model: ir.Model,
    layers: Sequence[Layer],
    dataset: Dataset,
    progress: Callable[[int, int], None],
) -> dict[str, Correction]:
    """Return the correction of every layer by its name, measured in one run over the dataset.

    Each layer's correction so far is added before the next layer runs (after Finkelstein et al., 2019, who need a run
    for each layer).

    Args:
        means: the means of the float model, by the number of the batch.
        quantized_model: the quantized model, with layers under the same node names.
        layers: the layers to correct; those without a channel axis are left out.
        dataset: the samples.
        progress: called with the number of samples that are completed and of all samples.

    Raises:
        ExportError: the quantized model does not run.
        ModelError: a layer's output is not finite on the dataset.
    """
    layers = with_channels(layers)
    if not layers:
        return {}
    graph = add_feedback(ir.to_proto(quantized_model), layers)
    session = Session(graph.model, "the quantized model with feedback", ExportError, fold_weights=True)
    sums = {layer.name: np.zeros((2, layer.output_channels)) for layer in layers}
    for number, feeds in zip(dataset.numbers, dataset.watched(progress), strict=True):
        expected = means[number]
        given: dict[str, NDArray[np.generic]] = {}
        floats: dict[str, Means] = {}
        for name, (shift, shares) in sums.items():
            floats[name] = (expected.activated if name in graph.activated else expected.outputs)[name]
            mean, active = floats[name]
            given[graph.inputs[name]] = np.stack([shift + mean, shares, active]).astype(np.float32)
        for name, output in zip(sums, session.run({**feeds, **given}), strict=True):
            mean, share = np.asarray(output, np.float64)
            sums[name] += np.stack([floats[name][0] - mean, share])
    overflowing = [name for name, total in sums.items() if not np.isfinite(total).all()]
    if overflowing:
        raise ModelError(
            f"layer {overflowing[0]!r} becomes NaN or infinite on the calibration data; "
            "accepted: calibration data for which it is finite"
        )
    batches = len(dataset.numbers)
    return {name: Correction(-total / batches, total / active) for name, (total, active) in sums.items()}
