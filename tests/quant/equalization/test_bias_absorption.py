"""Bias absorption keeps the outputs and lowers the activations between two layers."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.channel_moments import ChannelMoments
from quant.calibration.observers import session_with_outputs
from quant.equalization.bias_absorption import absorb_biases
from quant.equalization.cross_layer import equalize
from quant.graph.biases import add_to_biases
from quant.graph.inventory import inventory
from quant.graph.weightless import weightless
from tests.quant.equalization.models import SAMPLES, network
from tests.quant.onnx_text import model_of


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_what_channels_never_fall_below_moves_into_the_next_bias(activation):
    model = network(activation, spread=1.0, upper=120.0)
    add_to_biases(inventory(model)[0][:1], {"conv1": np.full(4, 100.0)})
    equalize(model)
    values, before = session_with_outputs(weightless(model), ["c1", "y"]).run({"x": SAMPLES}, ["c1", "y"])
    mean, least = (getattr(values.astype(np.float64), of)(axis=(0, 2, 3)) for of in ("mean", "min"))
    assert (least > 0).all()
    found = absorb_biases(model, {"c1": ChannelMoments(mean, ((mean - least) / 3) ** 2)})["c1"]
    np.testing.assert_allclose(found.mean, mean - least)
    values, after = session_with_outputs(weightless(model), ["c1", "y"]).run({"x": SAMPLES}, ["c1", "y"])
    np.testing.assert_allclose(values.min(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-3)


def test_a_layer_of_groups_of_channels_absorbs_nothing():
    random = np.random.default_rng(0)
    text = """net (float[N, 3, 6, 6] x) => (float[N, 2, 4, 4] y) {
        c1 = Conv (x, w1, b1) r1 = Relu (c1) y = Conv <group = 2> (r1, w2) }"""
    arrays = {"w1": random.normal(size=(4, 3, 3, 3)), "b1": np.full(4, 100.0), "w2": random.normal(size=(2, 2, 1, 1))}
    moments = {"c1": ChannelMoments(np.full(4, 100.0), np.ones(4))}
    assert absorb_biases(model_of(text, **arrays), moments) == moments


def test_a_layer_with_borders_absorbs_nothing():
    """Its zeros come after the activation."""
    model = network("Relu")
    inventory(model)[0][1].node.attributes.add(ir.AttrInt64s("pads", [1, 1, 1, 1]))
    before = ir.to_proto(model).SerializeToString()
    moments = ChannelMoments(np.full(4, 100.0), np.ones(4))
    assert absorb_biases(model, {"c1": moments}) == {"c1": moments}
    assert ir.to_proto(model).SerializeToString() == before
