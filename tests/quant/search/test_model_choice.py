"""The choice for a whole model: its variants and the layers that stay in float."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.graph.inventory import inventory
from quant.search.context import Source
from quant.search.model_choice import NormalisedModel, choose_model
from quant.spec import resolve
from tests.quant.onnx_text import model_of

W = np.random.default_rng(0).normal(size=(6, 4, 3))
SOURCE = Source(10_000, "0" * 64)


@pytest.fixture
def float_model():
    """Return a model without data, whose input has an unknown length."""
    model = model_of("net (float[N, 4, L] x) => (float[N, 6, M] y) { y = Conv (x, w) }", w=W)
    return NormalisedModel(model, {}, None, None, SOURCE, lambda *_: None)


def test_every_layer_that_the_spec_names_is_quantized(float_model):
    choice = choose_model(float_model, resolve({"preset": "int8-weights"}))
    assert [layer.layer.name for layer in choice.layers] == [layer.name for layer in inventory(float_model.model)[0]]
    assert choice.compared is None
    assert choice.warnings == ()


def test_a_copy_is_quantized_without_a_change_of_the_model(float_model):
    spec = resolve({"preset": "int8-weights", "equalization": "cross_layer"})
    before = ir.to_proto(float_model.model).SerializeToString()
    copy = float_model.quantize_copy(spec)
    assert ir.to_proto(float_model.model).SerializeToString() == before
    assert copy.layers[0].quantized.codes.shape == W.shape


def test_no_layer_stays_in_float_for_speed_if_the_model_cannot_be_timed(float_model):
    choice = choose_model(float_model, resolve({"preset": "int8-weights", "keep_float": "slower"}))
    assert len(choice.layers) == 1
    (warning,) = choice.warnings
    assert warning.startswith("keep_float: slower had no effect: there is no data")
