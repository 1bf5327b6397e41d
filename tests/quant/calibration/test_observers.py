"""What calibration sees of a tensor is the same whether the tensor leaves the graph or its peaks alone."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration import observers
from quant.calibration.activation_ranges import RangeObserver
from quant.calibration.observers import PEAKS, extremes_sources, observe, session_with_outputs
from quant.data.dataset import Dataset
from quant.graph.weightless import weightless
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
    shown = extremes_sources(model.graph, names)
    assert shown == {name: name + PEAKS if name in MAPS else name for name in names}
    tensors, peaks = (
        session_with_outputs(weightless(model), wanted).run({"x": SAMPLES}, wanted)
        for wanted in (sorted(MAPS), [name + PEAKS for name in sorted(MAPS)])
    )
    for whole, peak in zip(tensors, peaks, strict=True):
        np.testing.assert_array_equal(whole.max(axis=(2, 3), keepdims=True), peak)


@pytest.mark.parametrize("clipping", [{"name": "minmax"}, {"name": "minmax", "moving": 0.3}, {"name": "percentile"}])
def test_ranges_are_those_of_the_whole_tensors(model, clipping):
    activations = resolve({"preset": "int8", "activations": {"clipping": clipping}}).activations
    names, data = ACTIVATIONS.split(", "), Dataset({"x": SAMPLES}, None, len(SAMPLES), 8)
    seen = RangeObserver(model.graph, names, activations)
    observe(weightless(model), data, [seen], lambda *_: None)
    whole = RangeObserver(ir.Graph([], [], nodes=[]), names, activations)  # without a graph nothing is known of them
    observe(weightless(model), data, [whole], lambda *_: None)
    assert seen.ranges() == whole.ranges()
    assert (set(seen.wants(9)) == set(whole.wants(9))) == (clipping["name"] == "percentile")


def clipped_at(least, most, rule):
    """An observer of `low`, which is clipped to -1 .. 6, that saw a batch from `least` to `most`."""
    activations = resolve({"preset": "int8", "activations": {"clipping": rule}}).activations
    seen = RangeObserver(ir.from_onnx_text(TEXT).graph, ["low", "conv"], activations)
    seen.add(0, {"low": np.array([least, most], np.float32), "conv": np.array([0.0], np.float32)})
    return seen


@pytest.mark.parametrize(("least", "most", "wanted"), [(-1.0, 6.0, False), (-0.9, 6.0, True), (-1.0, 5.9, True)])
def test_what_has_reached_the_limits_that_it_is_clipped_to_is_not_looked_at_again(least, most, wanted):
    seen = clipped_at(least, most, {"name": "minmax"})
    assert ("low" in seen.wants(1)) == wanted
    assert "conv" in seen.wants(1)
    seen.add(1, {"conv": np.array([2.0], np.float32)})
    assert seen.ranges()["minmax"]["low"].maximum == np.float32(most)


@pytest.mark.parametrize("rule", [{"name": "minmax", "moving": 0.5}, {"name": "mse"}])
def test_a_rule_that_weighs_every_batch_sees_every_batch(rule):
    assert "low" in clipped_at(-1.0, 6.0, rule).wants(1)


class Picky:
    """Wants other tensors of every third batch."""

    def __init__(self):
        self.seen = {}

    def wants(self, number):
        return ["relu", "clip", "conv"] if number % 3 == 0 else ["low"]

    def add(self, number, values):
        self.seen[number] = {name: values[name] for name in self.wants(number)}


def test_each_batch_gives_what_is_wanted_of_it(model, monkeypatch):
    made = []
    make = observers.session_with_outputs
    monkeypatch.setattr(observers, "session_with_outputs", lambda *a, **k: made.append(a[1]) or make(*a, **k))
    picky, data = Picky(), Dataset({"x": SAMPLES}, None, len(SAMPLES), 2)
    observe(weightless(model), data, [picky], lambda *_: None)
    assert made == [["clip", "conv", "relu"], ["low"]]
    names = ["relu", "clip", "conv", "low"]
    for number, feeds in enumerate(data.batches()):
        expected = dict(zip(names, make(weightless(model), names).run(feeds, names), strict=True))
        assert set(picky.seen[number]) == set(picky.wants(number))
        for name, value in picky.seen[number].items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
