"""The clipped share of activations is what direct counting at the layers' inputs gives."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.saturation import ClippedShare, clipped_shares, saturated
from quant.data.dataset import Dataset
from quant.graph.inventory import inventory
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless

WEIGHTS = np.random.default_rng(0).normal(size=(2, 6, 6)).astype(np.float32)
SAMPLES = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)


@pytest.fixture
def model():
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[N, 6] x) => (float[N, 6] y)'
        "{ h = MatMul(x, a) r = Relu(h) y = MatMul(r, b) }"
    )
    proto.graph.initializer.extend(numpy_helper.from_array(w, n) for w, n in zip(WEIGHTS, "ab", strict=True))
    return normalise(ir.from_proto(proto))


def measured(model, ranges):
    layers = inventory(model)[0]
    data = Dataset({"x": SAMPLES}, None, len(SAMPLES), 8)
    return [layer.name for layer in layers], clipped_shares(weightless(model), layers, ranges, data)


def test_the_share_is_what_counting_gives(model):
    ranges = {"x": ActivationRange(-1.0, 1.0), "r": ActivationRange(0.0, 2.0)}
    names, shares = measured(model, ranges)
    hidden = np.maximum(SAMPLES @ WEIGHTS[0], 0)
    low, high = ranges["x"].representable
    half = float(ranges["x"].scale) / 2
    assert shares[names[0]].clipped_fraction == (np.abs(SAMPLES - (low + high) / 2) > (high - low) / 2 + half).mean()
    high, half = ranges["r"].representable[1], float(ranges["r"].scale) / 2
    assert shares[names[1]].clipped_fraction == pytest.approx((hidden > high + half).mean(), abs=0.01)
    assert [share.samples for share in shares.values()] == [20, 20]


def test_nothing_is_clipped_within_the_range(model):
    names, shares = measured(model, {"x": ActivationRange(float(SAMPLES.min()), float(SAMPLES.max()))})
    assert [shares[name].clipped_fraction for name in names if name in shares] == [0.0]


def test_without_quantized_activations_nothing_is_run(model):
    assert measured(model, {})[1] == {}


def test_layers_that_clip_much_are_named_with_the_worst_one():
    shares = {name: ClippedShare("x", 0, 1, part, 32) for name, part in {"a": 0.0, "b": 0.1, "c": 0.5}.items()}
    (finding,) = saturated(shares)
    assert (finding.code, finding.names) == ("calibration.saturates", ("b", "c"))
    assert "50%" in finding.detail
    assert "'c'" in finding.detail
    assert saturated({"a": shares["a"]}) == []
