"""Inputs on which models are timed."""

import numpy as np
import pytest

from quant.data.dataset import BATCH, Dataset
from quant.evaluation.timed_inputs import timed_inputs
from quant.graph.load.onnx_file import load
from tests.quant.onnx_text import proto_of


def model_of(signature):
    return load(proto_of(f"net ({signature}) => (float[n, 4] y) {{y = Relu(x)}}"))


def test_a_dataset_gives_its_first_batch_and_its_first_sample():
    data = Dataset({"x": np.arange(40, dtype=np.float32).reshape(10, 4)}, None, 10, BATCH)
    inputs = timed_inputs(model_of("float[n, 4] x"), data)
    assert inputs.samples == BATCH
    np.testing.assert_array_equal(inputs.batch["x"], data.inputs["x"][:BATCH])
    np.testing.assert_array_equal(inputs.single["x"], data.inputs["x"][:1])


def test_few_samples_make_a_smaller_batch():
    inputs = timed_inputs(model_of("float[n, 4] x"), Dataset({"x": np.zeros((3, 4), np.float32)}, None, 3, BATCH))
    assert (inputs.samples, len(inputs.batch["x"])) == (3, 3)


def test_a_fixed_batch_has_no_single_sample():
    data = Dataset({"x": np.zeros((8, 4), np.float32)}, None, 8, 4, fixed=True)
    inputs = timed_inputs(model_of("float[4, 4] x"), data)
    assert (inputs.samples, inputs.single) == (4, None)


@pytest.mark.parametrize(
    ("signature", "samples", "shape"),
    [
        ("float[n, 4] x", BATCH, (BATCH, 4)),
        ("float[2, 4] x", 1, (2, 4)),
        ("int64[n, 4] x", BATCH, (BATCH, 4)),
        ("float16[n, 4] x", BATCH, (BATCH, 4)),
    ],
)
def test_without_a_dataset_the_declared_sizes_are_filled(signature, samples, shape):
    inputs = timed_inputs(model_of(signature), None)
    assert (inputs.samples, inputs.batch["x"].shape) == (samples, shape)
    assert inputs.single is None if samples == 1 else len(inputs.single["x"]) == 1
    assert inputs.batch["x"].any() == ("float" in signature)


@pytest.mark.parametrize("signature", ["float[n, m] x", "string[n, 4] x", "float[n, 4] x, float[n, h] z"])
def test_without_a_dataset_unknown_sizes_and_types_give_nothing(signature):
    assert timed_inputs(model_of(signature), None) is None
