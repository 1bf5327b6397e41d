"""What calibration sees of a tensor is the same whether the tensor leaves the graph or its peaks alone."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration import RangeObserver
from quant.dataset import Dataset
from quant.observation import PEAKS, extremes_of, observe, session_with_outputs
from quant.spec import resolve

SAMPLES = np.random.default_rng(0).normal(size=(20, 3, 9, 7)).astype(np.float32)
ACTIVATIONS = "relu, clip, high, sigmoid, low, conv, flat, pooled"
TEXT = """<ir_version: 10, opset_import: ["": 21]>
    net (float[N, 3, 9, 7] x) => (float[N, 4, 9, 7] low, float[N, 252] flat, float[N, 4, 9, 7] pooled)
    <float[4, 3, 1, 1] w = {WEIGHTS}, float zero = {0.0}, float one = {1.0}, float six = {6.0}, float less = {-1.0},
     int64[2] rows = {-1, 252}> {
        conv = Conv (x, w)
        relu = Relu (conv)
        clip = Clip (conv, zero, six)
        high = Clip (conv, one, six)
        low = Clip (conv, less, six)
        sigmoid = Sigmoid (conv)
        plain = Reshape (conv, rows)
        flat = Relu (plain)
        sum = Add (relu, clip)
        sums = Add (high, sigmoid)
        pooled = Add (sum, sums)
    }""".replace("WEIGHTS", ", ".join(map(str, np.random.default_rng(1).normal(size=12))))
MAPS = {"relu", "clip", "high", "sigmoid"}


@pytest.fixture
def model():
    return ir.from_onnx_text(TEXT)


def test_maps_without_negative_values_are_shown_by_their_peaks(model):
    names = ACTIVATIONS.split(", ")
    shown = extremes_of(model.graph, names)
    assert shown == {name: name + PEAKS if name in MAPS else name for name in names}
    tensors, peaks = (
        session_with_outputs(model, wanted).run({"x": SAMPLES}, wanted)
        for wanted in (sorted(MAPS), [name + PEAKS for name in sorted(MAPS)])
    )
    for whole, peak in zip(tensors, peaks, strict=True):
        np.testing.assert_array_equal(whole.max(axis=(2, 3), keepdims=True), peak)


@pytest.mark.parametrize("clipping", [{"name": "minmax"}, {"name": "minmax", "moving": 0.3}, {"name": "percentile"}])
def test_ranges_are_those_of_the_whole_tensors(model, clipping):
    activations = resolve({"preset": "int8", "activations": {"clipping": clipping}}).activations
    names, data = ACTIVATIONS.split(", "), Dataset({"x": SAMPLES}, None, len(SAMPLES), 8)
    seen = RangeObserver(model.graph, names, activations)
    observe(model, data, [seen], lambda *_: None)
    whole = RangeObserver(ir.Graph([], [], nodes=[]), names, activations)  # without a graph nothing is known of them
    observe(model, data, [whole], lambda *_: None)
    assert seen.ranges() == whole.ranges()
    assert (set(seen.names) == set(whole.names)) == (clipping["name"] == "percentile")
