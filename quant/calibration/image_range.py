"""The range of image inputs, guessed from the response of the first convolution to images in the usual ranges."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from quant.calibration.observers import session_with_outputs
from quant.calibration.synthetic_inputs import STANDARDISED, ImageRange, is_image, synthetic_set
from quant.graph.constants import constant
from quant.graph.inventory import Layer
from quant.graph.weightless import Weightless

USUAL_RANGES = tuple(
    ImageRange(np.array([mean]), np.array([deviation]))
    for mean, deviation in ((0.45, 0.25), (0.0, 0.5), (0.0, 1.0), (115.0, 62.0))
)
"""The mean and deviation of photographs in the usual ranges: 0 to 1, -1 to 1, standardised, and 0 to 255."""


def image_ranges(model: ir.Model, graph: Weightless, layers: Sequence[Layer], seed: int) -> Mapping[str, ImageRange]:
    """Return the most likely range of each image input by its name.

    The outputs of a trained convolution vary by about 1, as BatchNormalization makes them do, and about as much as its
    bias varies between channels. Their deviation s and that of the biases b are therefore compared: the range is
    chosen for which s is nearest to sqrt(b), or to 1 without biases, as a ratio.

    Args:
        model: the model.
        graph: the same model, ready to run.
        layers: its layers.
        seed: the seed of the images.

    Raises:
        NoSyntheticInputs, ModelError: as `synthetic_set` and a run of the model do.
    """
    images = [value for value in model.graph.inputs if is_image(value)]
    first = next((layer for layer in layers if layer.operator.spatial and layer.graph is model.graph), None)
    if not images or first is None or first.output_axis is None:
        return {}
    bias = constant(first.bias)
    expected = 1.0 if bias is None or bias.std() == 0 else math.sqrt(float(bias.std()))
    output = str(first.node.outputs[0].name)
    session = session_with_outputs(graph, [output])
    distances = []
    for tried in USUAL_RANGES:
        ranges = {str(value.name): tried for value in images}
        feeds = next(synthetic_set(model, "noise", ranges, 1, seed, batch=1).batches())
        values = np.moveaxis(np.asarray(session.run(feeds, [output])[0], np.float64), first.output_axis, 0)
        deviation = math.sqrt(float(values.reshape(len(values), -1).var(axis=1).mean()))
        distances.append(abs(math.log(max(deviation, 1e-30) / expected)))
    chosen = USUAL_RANGES[int(np.argmin(distances))] if np.isfinite(distances).all() else STANDARDISED
    return {str(value.name): chosen for value in images}
