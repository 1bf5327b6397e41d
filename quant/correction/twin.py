"""Measured bias correction: the float and the quantized model run as one graph and are compared at every layer.

To find corrections, the difference of the channel means at a layer is added to the quantized side before its next layer
runs. Differences further down are then measured without the shifts that bias correction will remove. The means are
taken after the activation that reads the layer: a Relu hides differences below zero, and a correction of those would
distort the values that it lets through. The graph's outputs are means and energies only, so it needs little memory.
See docs/methods.md, 'Bias correction'.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.correction.twin_graph import build_twin
from quant.data.dataset import Dataset
from quant.errors import ExportError, ModelError
from quant.graph.inventory import Layer
from quant.graph.weightless import Weightless
from quant.runtime import Session


@dataclass(frozen=True)
class Correction:
    """The measured shift of a layer and its correction, (C,) each, in the unit of the layer's output.

    Both are measured with the layers before this one corrected.

    Attributes:
        shift: the mean of quantized - float in each channel, after the activation that reads the layer.
        correction: the values to add to the layer's bias. To first order they minimise the squared difference after
            the activation: the mean of float - quantized over the positions where either side is active.
    """

    shift: NDArray[np.float64]
    correction: NDArray[np.float64]


def find_corrections(
    float_model: Weightless,
    quantized_model: ir.Model,
    layers: Sequence[Layer],
    dataset: Dataset,
    progress: Callable[[int, int], None],
) -> dict[str, Correction]:
    """Return the correction of every layer by its name, measured in one run over the dataset.

    Each layer's correction so far is added before the next layer runs (after Finkelstein et al., 2019, who need a run
    for each layer).

    Args:
        float_model: the float model.
        quantized_model: the quantized model, with layers under the same node names.
        layers: the layers to correct; those without a channel axis are left out.
        dataset: the samples.
        progress: called with the number of samples that are completed and of all samples.

    Raises:
        ExportError: the models do not run as one graph.
        ModelError: a layer's output is not finite on the dataset.
    """
    layers = with_channels(layers)
    if not layers:
        return {}
    sums = {layer.name: np.zeros((2, layer.output_channels)) for layer in layers}
    twin, past = twin_session(float_model, quantized_model, layers, feed_back=True)
    for feeds in dataset.watched(progress):
        before = {past[name]: total.astype(np.float32) for name, total in sums.items()}
        outputs = [np.asarray(output, np.float64) for output in twin.run({**feeds, **before})]
        sums = {name: total + output for (name, total), output in zip(sums.items(), outputs, strict=True)}
    overflowing = [name for name, total in sums.items() if not np.isfinite(total).all()]
    if overflowing:
        raise ModelError(
            f"layer {overflowing[0]!r} becomes NaN or infinite on the calibration data; "
            "accepted: calibration data for which it is finite"
        )
    batches = len(dataset.numbers)
    return {name: Correction(-total / batches, total / active) for name, (total, active) in sums.items()}


def with_channels(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers whose output has a channel axis."""
    return [layer for layer in layers if layer.output_axis is not None]


def twin_session(
    float_model: Weightless,
    quantized_model: ir.Model,
    layers: Sequence[Layer],
    *,
    feed_back: bool,
    energies: bool = True,
) -> tuple[Session, Mapping[str, str]]:
    """Return a session of the twin graph, and the inputs for the sums over earlier batches by the layer's name.

    With feedback, the nodes depend on each other in the order that is needed. Without it, `energies` are outputs too.
    """
    twin = build_twin(float_model.proto, ir.to_proto(quantized_model), layers, feed_back=feed_back, energies=energies)
    session = Session(
        twin.model, "the twin graph", ExportError, float_model.arrays, fold_weights=True, in_order=not feed_back
    )
    return session, twin.past
