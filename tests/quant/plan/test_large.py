"""The size of a model that is quantized layer by layer: the sum of its tensors at aligned offsets."""

import numpy as np

from quant.export.data_file import ALIGNMENT
from quant.graph.inventory import inventory
from quant.plan.large import size_by_sum
from quant.spec import resolve
from quant.weights.placeholder import placeholder
from tests.quant.onnx_text import model_of


def test_a_shared_weight_counts_once_and_small_tensors_stay_in_the_model():
    spec = resolve({"preset": "int8-weights"})
    text = "net (float[N, 100] x) => (float[N, M] y) { h = MatMul(x, w)  g = Add(h, b)  y = MatMul(g, w) }"
    model = model_of(text, w=np.ones((100, 100)), b=np.ones(100))
    layers = [placeholder(layer, spec.weights, spec, 0) for layer in inventory(model)[0]]
    assert len(layers) == 2
    codes_and_scales = 100 * 100 + 4 * 100
    assert size_by_sum(model, layers, 21) == -(-codes_and_scales // ALIGNMENT) * ALIGNMENT + 400
