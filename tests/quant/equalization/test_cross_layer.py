"""Cross-layer equalization keeps the outputs and evens the ranges of channels."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.channel_moments import ChannelMoments, clip_moments, infer_tensor_moments, scale_moments
from quant.equalization.cross_layer import LIMIT, equalize
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.runtime import Session
from tests.quant.equalization.models import SAMPLES, network


@pytest.mark.parametrize("activation", ["Relu", "Clip", None])
def test_outputs_stay_and_ranges_meet(activation):
    model = network(activation)
    before = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    factors = equalize(model)
    after = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert set(factors) == {"c1", "c2"}
    first, depthwise, second = (layer.weight for layer in inventory(model)[0])
    outgoing = np.abs(first).max(axis=(1, 2, 3))
    np.testing.assert_allclose(outgoing, np.abs(depthwise).max(axis=(1, 2, 3)), rtol=1e-2)
    np.testing.assert_allclose(outgoing, np.abs(second).max(axis=(0, 2, 3)), rtol=1e-2)


def test_factors_are_limited_and_dead_channels_stay():
    model = network("Relu", spread=1e6, dead=True)
    before = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    factors = equalize(model)
    assert all(((f <= LIMIT * 1.0001) & (f >= 1 / LIMIT * 0.9999)).all() for f in factors.values())
    assert factors["c1"][0] == 1
    after = Session(ir.to_proto(model).SerializeToString()).run({"x": SAMPLES})[0]
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3 * np.abs(before).max())


@pytest.mark.parametrize("activation", ["Sigmoid", "branch", "output"])
def test_what_would_change_the_outputs_is_left_alone(activation):
    model = network(activation)
    assert equalize(model) == {}
    assert "Min" not in {node.op_type for node in model.graph}


def test_the_moments_follow_the_factors():
    model = network("Clip")
    moments = ChannelMoments(np.array([0.5, 2.0, 5.0, -1.0]), np.array([1.0, 4.0, 9.0, 0.25]))
    expected = clip_moments(moments, 0, 6)
    factors = equalize(model)
    found = infer_tensor_moments(model, scale_moments({"c1": moments}, factors))["r1"]
    np.testing.assert_allclose(found.mean, expected.mean * factors["c1"], rtol=1e-6)
    np.testing.assert_allclose(found.variance, expected.variance * factors["c1"] ** 2, rtol=1e-6)


@pytest.mark.data
@pytest.mark.parametrize("name", ["mobilenetv1_075_imagenet", "vww_mobilenetv1_025", "resnet20_cifar10"])
def test_real_networks_compute_the_same(data, name):
    model = normalise(load((data / "models" / f"{name}.onnx").read_bytes()))
    size = {"mob": 224, "vww": 96, "res": 32}[name[:3]]
    image = np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)
    feeds = {str(model.graph.inputs[0].name): image}
    before = Session(ir.to_proto(model).SerializeToString()).run(feeds)[0]
    assert len(equalize(model)) >= 9
    after = Session(ir.to_proto(model).SerializeToString()).run(feeds)[0]
    assert np.abs(after - before).max() < 1e-4 * np.abs(before).max()
