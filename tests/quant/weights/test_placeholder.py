"""Placeholders have the shapes and the bytes of quantized weights, for every kind of layer and every form."""

import numpy as np
import pytest

from quant.export.storage import stored_bytes
from quant.graph.inventory import inventory
from quant.spec import resolve
from quant.weights.granularity import PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.layers import adapt_to_kernel, quantize_layers
from quant.weights.placeholder import placeholder, row_count
from tests.quant.one_layer import KINDS, model_of

SPECS = [
    {"preset": "int8"},
    {"preset": "int4-weights"},
    {"preset": "int8-weights", "weights": {"granularity": "tensor"}},
    {"preset": "int4-weights", "weights": {"granularity": "block", "block_size": 16}},
    {"preset": "int4-weights", "export": {"weight_storage": "direct"}},
    {"preset": "codebook4"},
    {"preset": "codebook4", "activations": None},
    {"weights": {"bits": 3, "grid": "lloyd_max"}, "activations": None},
    {"weights": {"bits": 4, "grid": "apot"}, "activations": None},
    {"preset": "ternary"},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_placeholder_has_the_shapes_of_the_quantized_weight(kind, spec):
    spec = resolve(spec)
    (layer,), _ = inventory(model_of(*KINDS[kind]))
    section, _ = adapt_to_kernel(layer, spec.weights)
    planned = placeholder(layer, section, spec, 3)
    (quantized,) = quantize_layers([(layer, spec.weights)], {}, spec, lambda *_: None)
    assert (planned.form, planned.quantized.granularity) == (quantized.form, quantized.quantized.granularity)
    for name in ("codes", "scale", "clip", "levels"):
        expected, actual = getattr(quantized.quantized, name), getattr(planned.quantized, name)
        assert np.shape(actual) == np.shape(expected), name
    opset = spec.export.opset
    assert stored_bytes(planned.quantized, planned.form, opset) == stored_bytes(
        quantized.quantized, quantized.form, opset
    )


@pytest.mark.parametrize(
    "granularity", [PerTensor(), PerChannel(1), PerBlock(0, 16), PerMatrixChannel((0, 2)), PerMatrixChannel((0, 2), 2)]
)
def test_the_number_of_rows_is_that_of_the_rows(granularity):
    shape = (6, 20, 4)
    assert row_count(granularity, shape) == len(granularity.rows(np.zeros(shape)))


def test_placeholders_of_different_weights_differ():
    spec = resolve({"preset": "int8-weights"})
    (layer,), _ = inventory(model_of(*KINDS["matmul"]))
    weights = [placeholder(layer, spec.weights, spec, number).quantized for number in range(2**15)[:: 2**9 - 1]]
    assert (
        len({weight.codes.tobytes() for weight in weights})
        == len({weight.scale.tobytes() for weight in weights})
        == len(weights)
    )
