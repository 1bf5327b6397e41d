"""The batch size that a model takes is found by running it, whatever its inputs declare."""

import numpy as np
import onnx
import pytest

from quant.calibration.batch_size import find_batch_size
from quant.data.dataset import Dataset
from quant.errors import ModelError
from quant.runtime import Session

HEADER = '<ir_version: 8, opset_import: ["": 18]>'
ANY, ONE_BY_ONE, ONLY = None, "dataset.sample_by_sample", "dataset.only_batch_size"
CASES = {
    "independent samples": ("y = Relu(x)", None, ANY),
    "a softmax over the features": ("y = Softmax<axis = 1>(x)", None, ANY),
    "rows of one reshaped sample": ("s = Constant<value_ints = [1, 4]>() h = Reshape(x, s) y = Relu(h)", 1, ONE_BY_ONE),
    "a squeezed batch axis": ("a = Constant<value_ints = [0]>() h = Squeeze(x, a) y = Unsqueeze(h, a)", 1, ONE_BY_ONE),
    "all in one row": ("y = Flatten<axis = 0>(x)", 1, ONE_BY_ONE),
    "all in one row by Reshape": ("s = Constant<value_ints = [1, -1]>() y = Reshape(x, s)", 1, ONE_BY_ONE),
    "eight inside": ("s = Constant<value_ints = [8, 2, 2]>() y = Reshape(x, s)", 8, ONLY),
    "three inside": ("s = Constant<value_ints = [3, 2, 2]>() y = Reshape(x, s)", 3, ONLY),
    "pairs inside": ("s = Constant<value_ints = [-1, 2, 4]>() y = Reshape(x, s)", 8, ONLY),
    "an axis that is lost with one sample": ("y = Squeeze(x)", 8, ONLY),
    "positions of values": ("y = NonZero(x)", None, ANY),
    "a mean over the batch": ("y = ReduceMean<keepdims = 0>(x)", None, ANY),
    "the batch on the second axis": ("y = Transpose<perm = [1, 0]>(x)", None, ANY),
    "random numbers": ("r = RandomNormalLike(x) y = Add(x, r)", None, ANY),
}


def session(body):
    model = onnx.parser.parse_model(f"{HEADER} g (float[N, 4] x) => (y) {{ {body} }}")
    return Session(model.SerializeToString())


def data(samples=20):
    return Dataset({"x": np.random.default_rng(0).normal(size=(samples, 4)).astype(np.float32)}, None, samples, 8)


@pytest.mark.parametrize("case", CASES)
def test_the_size_is_the_one_that_the_model_has_inside(case):
    body, size, code = CASES[case]
    result = find_batch_size(session(body), data())
    assert result.size == size
    assert (result.finding and result.finding.code) == code


def test_a_softmax_over_the_batch_is_reported_and_keeps_its_batches():
    result = find_batch_size(session("y = Softmax<axis = 0>(x)"), data())
    assert result.size is None
    assert result.finding.code == "dataset.samples_interact"


def test_moments_of_the_batch_are_reported():
    body = "a = Constant<value_ints = [0]>() m = ReduceMean(x, a) y = Sub(x, m)"
    assert find_batch_size(session(body), data()).finding.code == "dataset.samples_interact"


def test_a_batch_size_that_the_inputs_declare_is_not_searched():
    fixed = data().in_batches_of(4)
    result = find_batch_size(session("y = Relu(x)"), fixed)
    assert (result.size, result.finding, result.outputs[0].shape) == (None, None, (4, 4))


def test_a_model_that_runs_with_no_size_is_refused():
    with pytest.raises(ModelError):
        find_batch_size(session("s = Constant<value_ints = [7, 7, 7]>() y = Reshape(x, s)"), data())


def test_one_sample_is_enough():
    assert find_batch_size(session("y = Relu(x)"), data(1)).outputs[0].shape == (1, 4)
