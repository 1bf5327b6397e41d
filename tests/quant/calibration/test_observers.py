"""Observers: one pass over the set gives each of them its tensors, or their peaks."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from quant.calibration import observers
from quant.calibration.observers import (
    PEAKS,
    OutputRecorder,
    clip_limits,
    extremes_sources,
    observe,
    session_with_outputs,
)
from quant.data.dataset import Dataset
from quant.graph.weightless import weightless
from tests.quant.calibration.models import ACTIVATIONS, MAPS, SAMPLES, activations_model
from tests.quant.onnx_text import model_of


@pytest.fixture
def model():
    return activations_model()


def test_maps_without_negative_values_are_read_as_their_peaks(model):
    sources = extremes_sources(model.graph, ACTIVATIONS)
    assert sources == {name: name + PEAKS if name in MAPS else name for name in ACTIVATIONS}
    tensors, peaks = (
        session_with_outputs(weightless(model), names).run({"x": SAMPLES}, names)
        for names in (sorted(MAPS), [name + PEAKS for name in sorted(MAPS)])
    )
    for whole, peak in zip(tensors, peaks, strict=True):
        np.testing.assert_array_equal(whole.max(axis=(2, 3), keepdims=True), peak)


class EveryThird:
    """An observer that wants other tensors of every third batch."""

    def __init__(self):
        self.values = {}

    def wants(self, number):
        return ["relu", "clip", "conv"] if number % 3 == 0 else ["low"]

    def add(self, number, values):
        self.values[number] = {name: values[name] for name in self.wants(number)}


def test_an_observer_gets_the_tensors_that_it_wants_of_each_batch(model, monkeypatch):
    sessions = []
    make = observers.session_with_outputs
    monkeypatch.setattr(observers, "session_with_outputs", lambda *a, **k: sessions.append(a[1]) or make(*a, **k))
    observer, data = EveryThird(), Dataset({"x": SAMPLES}, None, len(SAMPLES), 2)
    observe(weightless(model), data, [observer], lambda *_: None)
    assert sessions == [["clip", "conv", "relu"], ["low"]]
    names = ["relu", "clip", "conv", "low"]
    for number, feeds in enumerate(data.batches()):
        expected = dict(zip(names, make(weightless(model), names).run(feeds, names), strict=True))
        assert set(observer.values[number]) == set(observer.wants(number))
        for name, value in observer.values[number].items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("batches", "recorded"), [(1, [1]), (2, [1, 3]), (9, [1, 3])])
def test_outputs_are_recorded_up_to_a_size(model, monkeypatch, batches, recorded):
    """The outputs of the second and the fourth batch, in a part of the set, if there is room for them."""
    data = Dataset({"x": SAMPLES}, None, len(SAMPLES), 4)
    expected = [session_with_outputs(weightless(model), ()).run(feeds) for feeds in data.batches()]
    size = sum(output.nbytes for output in expected[0])
    monkeypatch.setattr(observers, "MAX_RECORDED_BYTES", batches * size)
    recorder = OutputRecorder(model, replace(data, part=(1, 3)))
    observe(weightless(model), data, [recorder], lambda *_: None)
    assert sorted(recorder.recorded) == recorded
    for number, outputs in recorder.recorded.items():
        for output, value in zip(outputs, expected[number], strict=True):
            np.testing.assert_array_equal(output, value)


@pytest.mark.parametrize(("bounds", "limits"), [("less, six", (-1, 6)), ("one, six", (0, 6)), ("less", None)])
def test_a_clip_with_two_constant_bounds_limits_its_output(bounds, limits):
    constants = {"less": np.array(-1.0), "one": np.array(1.0), "six": np.array(6.0)}
    used = {name: value for name, value in constants.items() if name in bounds}
    model = model_of(f"net (float[N, 4] x) => (float[N, 4] y) {{ y = Clip (x, {bounds}) }}", **used)
    assert clip_limits(model.graph, ["x", "y"]) == ({} if limits is None else {"y": limits})


class AllOf:
    """An observer that wants one tensor of every batch and keeps nothing."""

    def __init__(self, name):
        self.name, self.bytes = name, 0

    def wants(self, number):
        return [self.name]

    def add(self, number, values):
        self.bytes = values[self.name].nbytes


def test_the_tensors_of_one_batch_are_in_memory_at_a_time():
    """The scores of attention are large beside inputs and outputs."""
    text = """net (float[N, 512, 2] x) => (float[N, 512, 2] y) {
        t = Transpose <perm = [0, 2, 1]> (x)
        scores = MatMul(x, t)
        y = MatMul(scores, x)
    }"""
    data = Dataset({"x": np.ones((16, 512, 2), np.float32)}, None, 16, 4)
    observer = AllOf("scores")
    tracemalloc.start()
    try:
        observe(weightless(model_of(text)), data, [observer], lambda *_: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert observer.bytes == 4 * 512 * 512 * 4
    assert peak < 1.5 * observer.bytes
