"""Batches for calibration shrink until the inputs of all layers fit in the memory for them."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.calibration import batch_memory
from quant.calibration.batch_memory import within_memory
from quant.data.dataset import Dataset
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise

FRAMES, WIDTH = 50, 20
SAMPLE_BYTES = FRAMES * WIDTH * 4
"""The bytes of the input of the second layer for one sample; that of the first is the model's."""


def model(frames):
    weights = {name: np.ones((WIDTH, WIDTH), np.float32) for name in ("w1", "w2")}
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"], "first"), helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["y"], "second"),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", frames, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return normalise(load(proto.SerializeToString()))


def data(**changes):
    values = np.zeros((20, FRAMES, WIDTH), np.float32)
    return Dataset(**{"inputs": {"x": values}, "labels": None, "samples": 20, "batch": 8, **changes})


@pytest.mark.parametrize("frames", [FRAMES, "T"], ids=["declared shapes", "measured shapes"])
@pytest.mark.parametrize(("samples", "batch"), [(8, 8), (7, 4), (1, 1), (0.5, 1)])
def test_the_batch_is_halved_until_it_fits(monkeypatch, frames, samples, batch):
    monkeypatch.setattr(batch_memory, "MAX_BYTES", int(samples * SAMPLE_BYTES))
    smaller = within_memory(model(frames), data())
    assert (smaller.batch, smaller.used) == (batch, 20)


def test_a_batch_size_that_the_model_requires_stays(monkeypatch):
    monkeypatch.setattr(batch_memory, "MAX_BYTES", 1)
    fixed = data(fixed=True)
    assert within_memory(model(FRAMES), fixed) is fixed
