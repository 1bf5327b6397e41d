"""The weight of a layer as a matrix, and its input as the rows that this matrix multiplies."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.graph.im2col import from_weight_matrix, input_rows, output_rows, weight_matrix
from quant.graph.inventory import inventory
from quant.runtime import Session
from tests.quant.one_layer import KINDS, model_of

RNG = np.random.default_rng(0)


@pytest.fixture(params=KINDS)
def built(request):
    """A model of one layer, and 6 samples."""
    op, weight, sample, attributes = KINDS[request.param]
    return model_of(op, weight, sample, attributes), RNG.normal(size=(6, *sample)).astype(np.float32)


def test_the_weight_matrix_times_the_input_rows_is_the_layer(built):
    model, samples = built
    (layer,), _ = inventory(model)
    output = Session(ir.to_proto(model).SerializeToString()).run({"x": samples})[0]
    matrix = weight_matrix(layer, layer.weight)
    products = np.einsum("gnk,gok->ngo", input_rows(layer, samples, 10**9, 0), matrix)
    axis = 1 if "Conv" in layer.op else -1
    expected = np.moveaxis(output, axis, -1).reshape(products.shape)
    np.testing.assert_allclose(products, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(from_weight_matrix(layer, matrix.astype(np.float64), layer.shape), layer.weight)


def test_the_drawn_outputs_are_those_of_the_drawn_input_rows(built):
    model, samples = built
    (layer,), _ = inventory(model)
    output = Session(ir.to_proto(model).SerializeToString()).run({"x": samples})[0]
    products = input_rows(layer, samples, 17, 4) @ weight_matrix(layer, layer.weight).swapaxes(1, 2)
    expected = np.moveaxis(products, 0, 1).reshape(products.shape[1], -1)
    np.testing.assert_allclose(output_rows(layer, output, 17, 4), expected, rtol=1e-4, atol=1e-5)


def test_positions_are_drawn_evenly_and_always_the_same():
    layer = inventory(model_of(*KINDS["conv"]))[0][0]
    samples = RNG.normal(size=(20, 3, 7, 8)).astype(np.float32)
    drawn = [input_rows(layer, samples, 50, seed=3) for _ in range(2)]
    assert drawn[0].shape == (1, 50, 27)
    np.testing.assert_array_equal(*drawn)
