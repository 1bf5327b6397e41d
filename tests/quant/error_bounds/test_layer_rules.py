"""The rule of each layer holds for points of the input's boxes, with changed weights and biases."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.error_bounds.intervals import Box, ErrorInterval
from quant.error_bounds.layer_rules import LAYER_RULES, AffineMaps, LayerPassage
from quant.error_bounds.operator_norms import WORK
from quant.error_bounds.operator_rules import Unbounded
from quant.graph.im2col import weight_matrix
from quant.graph.inventory import inventory
from quant.runtime import Session
from tests.quant.onnx_text import model_of

RANDOM = np.random.default_rng(0)
CASES = {
    "Conv": ("y = Conv <pads = [1, 1, 1, 1]> (x, w, b)", (2, 5, 6), (3, 2, 3, 3)),
    "Conv, strided": ("y = Conv <strides = [2, 1], dilations = [1, 2]> (x, w, b)", (2, 5, 6), (3, 2, 3, 3)),
    "Conv, grouped": ("y = Conv <group = 2> (x, w, b)", (4, 5, 6), (6, 2, 3, 3)),
    "Gemm": ("y = Gemm <transB = 1> (x, w, b)", (4,), (3, 4)),
    "MatMul": ("y = MatMul (x, w)", (5, 4), (4, 3)),
}


def built(text, shape, weight):
    sizes = ", ".join(str(size) for size in shape)
    model = model_of(f"net (float[N, {sizes}] x) => (float y) {{ {text} }}", w=RANDOM.normal(size=weight),
                     **({"b": RANDOM.normal(size=weight[0])} if ", b" in text else {}))  # fmt: skip
    (layer,), _ = inventory(model)
    return model, layer


def run(model, x):
    return Session(ir.to_proto(model).SerializeToString()).run({"x": x.astype(np.float32)})[0].astype(np.float64)


@pytest.mark.parametrize("name", CASES)
def test_the_output_of_every_point_is_inside(name):
    text, shape, weight = CASES[name]
    model, layer = built(text, shape, weight)
    channels = (shape[0], *[1] * (len(shape) - 1)) if "Conv" in name else (shape[-1],)
    low, below = RANDOM.normal(size=channels), 0.1 * RANDOM.normal(size=channels)
    value, change = Box(low, low + RANDOM.random(channels)), Box(below, below + 0.1)
    x = RANDOM.uniform(value.low, value.high, size=(100, *shape))
    q = x + RANDOM.uniform(change.low, change.high, size=x.shape)
    float_weight, added = layer.weight, 0.1 * RANDOM.normal(size=weight).astype(np.float32)
    outputs = run(model, x)
    layer.operand(layer.weight_index).const_value = ir.tensor(float_weight + added)
    differences = run(model, q) - outputs
    maps = AffineMaps(
        weight_matrix(layer, float_weight).astype(np.float64), weight_matrix(layer, added).astype(np.float64),
        np.zeros(layer.output_channels) if layer.bias is None else layer.bias.const_value.numpy().astype(np.float64),
        np.zeros(layer.output_channels),
    )  # fmt: skip
    source = ErrorInterval(value, change, value.norm(shape), change.norm(shape))
    image = LAYER_RULES[layer.op](LayerPassage(layer, maps, source, shape, outputs.shape[1:], WORK))
    for values, box, norm in ((outputs, image.value, image.size), (differences, image.change, image.error)):
        assert (values >= box.low - 1e-4).all()
        assert (values <= box.high + 1e-4).all()
        assert np.linalg.norm(values.reshape(len(values), -1), axis=1).max() <= norm * (1 + 1e-5)


def test_a_transposed_input_is_refused():
    _, layer = built("y = Gemm <transA = 1> (x, w)", (4,), (4, 3))
    point = Box.of(np.zeros(4))
    maps = AffineMaps(np.zeros((1, 3, 4)), np.zeros((1, 3, 4)), np.zeros(3), np.zeros(3))
    with pytest.raises(Unbounded, match="its input is transposed"):
        LAYER_RULES["Gemm"](LayerPassage(layer, maps, ErrorInterval(point, point, 0, 0), (4,), (3,), WORK))


def test_every_rule_has_a_case():
    assert {name.split(",")[0] for name in CASES} == set(LAYER_RULES)
