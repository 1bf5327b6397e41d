"""The cost of a job: how often its models run over the calibration set, and what stays in memory.

Float runs are counted, not timed: the sum over all runs of their samples, divided by the samples of the set. A twin
graph counts twice, since it runs both models.
"""

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from quant.search import model_choice
from tests.quant.onnx_text import proto_of
from tests.specs import UNTIMED

MAX_RUNS = 10
SAMPLES = 24
"""So few samples that every step takes its largest share of the set."""
PRESETS = ("int8", "int8-weights", "int4", "int4-weights", "codebook4", "ternary")
RNG = np.random.default_rng(0)


@pytest.fixture
def job(tmp_path):
    """Return a function that quantizes a block of a transformer, whose linear layers can be smoothed."""
    text = """block (float[N, 9, 32] x) => (float[N, 9, 32] y) {
        h = MatMul(x, a)
        t = Tanh(h)
        z = MatMul(t, b)
        r = Relu(z)
        y = MatMul(r, c)
    }"""
    weights = {"a": (32, 48), "b": (48, 48), "c": (48, 32)}
    model, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    model.write_bytes(proto_of(text, **{name: RNG.normal(size=shape) / 6 for name, shape in weights.items()}))
    np.savez(data, x=RNG.normal(size=(SAMPLES, 9, 32)).astype(np.float32))

    def run(spec):
        return quantize_model(Inputs(model, "m", {**spec, **UNTIMED}, data), tmp_path, lambda *_: None)

    return run


@pytest.fixture
def runs(monkeypatch):
    """Return a list to which each run adds its samples, twice for a twin graph."""
    counted, run = [], Session.run

    def counting(self, feeds, outputs=None):
        sides = 2 if self._what == "the twin graph" else 1
        counted.append(sides * len(feeds["x"]))
        return run(self, feeds, outputs)

    monkeypatch.setattr(Session, "run", counting)
    return counted


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_runs_its_models_a_bounded_number_of_times(job, runs, preset):
    job({"preset": preset})
    assert sum(runs) <= MAX_RUNS * SAMPLES


def test_a_choice_does_not_hold_the_moments_of_the_inputs(job, monkeypatch):
    held, choose_inputs = [], model_choice.choose_dynamic_inputs

    def choose(choices, progress):
        held.extend(choices)
        return choose_inputs(choices, progress)

    monkeypatch.setattr(model_choice, "choose_dynamic_inputs", choose)
    job({"preset": "int8"})
    assert held
    assert all(not choice.context.moments and choice.context.means for choice in held)
