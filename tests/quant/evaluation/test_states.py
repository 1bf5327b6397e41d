"""Streaming models run with their own states, in a whole job and step by step."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from quant.data.dataset import Dataset
from quant.data.sequences import InitialStates, Sequences
from quant.data.sources import Feeds
from quant.errors import InputMismatch
from quant.evaluation.sqnr import sqnr_db
from quant.evaluation.states import StateRunner, roll_out
from quant.inputs import Inputs
from quant.pipeline import quantize_model
from quant.runtime import Session
from tests.quant.onnx_text import proto_of

SUM = "cell (float[1] x, float[1] h) => (float[1] y, float[1] h_out) { h_out = Add (x, h) y = Identity (h_out) }"
DOUBLED = SUM.replace("h_out = Add (x, h)", "t = Add (x, h) h_out = Add (t, t)")
GRU = """
cell (float[1, 1, 6] x, float[1, 1, 8] h) => (float[1, 1, 4] y, float[1, 1, 8] h_out) {
  states, h_out = GRU <hidden_size = 8> (x, w, r, , , h)
  y = MatMul (h_out, out)
}
"""


def sequences(x, first):
    """A set of sequences of x (sequences, steps, 1) with the first states (sequences, 1) of the state `h`."""
    count, steps, _ = x.shape
    sources = {"x": Feeds(x.reshape(count * steps, 1)), "h": InitialStates(first, steps)}
    return Dataset(sources, None, count * steps, 1, fixed=True, sequences=Sequences({"h": "h_out"}, steps))


@pytest.fixture
def data():
    return sequences(np.arange(8, dtype=np.float32).reshape(2, 4, 1), np.float32([[0], [100]]))


def test_a_set_is_filled_with_the_states_that_the_model_reaches(data):
    filled = roll_out(Session(proto_of(SUM)), data)
    assert [feeds["h"].item() for feeds in filled.batches()] == [0, 0, 1, 3, 100, 104, 109, 115]
    assert roll_out(Session(proto_of(SUM)), None) is None


def test_another_model_continues_from_its_states(data):
    filled = roll_out(Session(proto_of(SUM)), data)
    runner = StateRunner(Session(proto_of(DOUBLED)), filled)
    outputs = [runner.run(feeds)[1][0].item() for feeds in filled.batches()]
    assert outputs == [0, 2, 8, 22, 208, 426, 864, 1742]


def test_a_step_without_its_predecessor_has_the_states_of_the_set(data):
    part = replace(roll_out(Session(proto_of(SUM)), data), part=(2, 3, 6))
    runner = StateRunner(Session(proto_of(DOUBLED)), part)
    assert [runner.run(feeds)[1][0].item() for feeds in part.batches()] == [6, 18, 230]


def test_a_state_that_changes_its_shape_is_refused():
    grows = Session(proto_of("cell (float[1] x, float[K] h) => (float[M] h_out) { h_out = Concat <axis = 0> (h, x) }"))
    with pytest.raises(InputMismatch, match=r"state 'h' had shape \[1\] and the model returned 'h_out' of shape \[2\]"):
        roll_out(grows, sequences(np.zeros((1, 2, 1), np.float32), np.zeros((1, 1), np.float32)))


def test_the_figures_of_a_job_are_those_of_a_model_with_its_states(tmp_path):
    normal = np.random.default_rng(0).standard_normal
    weights = {"w": normal((1, 24, 6)), "r": normal((1, 24, 8)) / 2, "out": normal((8, 4))}
    (tmp_path / "cell.onnx").write_bytes(proto_of(GRU, **weights))
    x = normal((4, 10, 1, 1, 6)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    inputs = Inputs(
        tmp_path / "cell.onnx",
        "cell.onnx",
        {"weights": {"bits": 4}, "states": {"h": "h_out"}},
        tmp_path / "data.npz",
        tmp_path / "data.npz",
    )
    quantize_model(inputs, tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    expected, actual = (outputs_of(tmp_path / name, x) for name in ("cell.onnx", "model.onnx"))
    difference = expected - actual
    figure = sqnr_db(float((expected**2).sum()), float((difference**2).sum()))
    assert report["outputs"][0]["sqnr_db"] == pytest.approx(figure, abs=1e-3)
    assert report["samples"]["evaluation"]["used"] == 40


def outputs_of(path, x):
    """The main outputs of a model with its own states, float64."""
    session, outputs = Session(onnx.load(path).SerializeToString()), []
    for sequence in x:
        state = np.zeros((1, 1, 8), np.float32)
        for step in sequence:
            y, state = session.run({"x": step, "h": state})
            outputs.append(y.astype(np.float64))
    return np.array(outputs)
