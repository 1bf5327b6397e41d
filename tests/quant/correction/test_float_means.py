"""The recorded means of the float model are those of its tensors, and cost one pass."""

import numpy as np
import pytest

from quant.calibration.observers import observe, session_with_outputs
from quant.correction.float_means import FloatMeansObserver
from quant.data.dataset import Dataset
from quant.graph.activation_sites import MIN_ACTIVE_SHARE
from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.weightless import weightless
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(3)
SAMPLES = RNG.normal(size=(8, 2, 5, 5)).astype(np.float32)
TEXT = """net (float[N, 2, 5, 5] x) => (float[N, 5, 5, 4] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, v)
    d = Conv (x, u)
    s = Add(c, d)
    r = Relu(s)
    t = Transpose <perm = [0, 2, 3, 1]> (r)
    y = MatMul(t, w)
}"""


@pytest.fixture
def model():
    """Return a sum of convolutions that a Relu reads, and a MatMul with a row for each position."""
    weights = {"v": (3, 2, 3, 3), "u": (3, 2, 1, 1), "w": (3, 4)}
    return normalise(load(proto_of(TEXT, **{name: RNG.normal(size=shape) for name, shape in weights.items()})))


def observed(model, part, data):
    """Return the means by the number of the batch."""
    observer = FloatMeansObserver(model.graph, inventory(model)[0], part)
    observe(weightless(model), data, [observer], lambda *_: None, reductions=observer.reductions)
    return observer.means


def test_means_are_those_of_the_tensors(model):
    data = Dataset({"x": SAMPLES}, None, 8, 8)
    (means,) = observed(model, data, data).values()
    names = ["r", "y", "c"]
    r, y, c = session_with_outputs(weightless(model), names).run({"x": SAMPLES}, names)
    conv, other, matmul = (layer.name for layer in inventory(model)[0])
    for name in (conv, other):
        np.testing.assert_allclose(means.activated[name], [r.mean((0, 2, 3)), (r > 0).mean((0, 2, 3))], rtol=1e-5)
    np.testing.assert_allclose(means.outputs[conv], [c.mean((0, 2, 3)), np.ones(3)], rtol=1e-4)
    np.testing.assert_allclose(means.outputs[matmul][0], y.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    assert set(means.activated) == {conv, other}


def test_a_channel_that_is_never_active_counts_as_seldom_active(model):
    data = Dataset({"x": np.zeros_like(SAMPLES)}, None, 8, 8)
    (means,) = observed(model, data, data).values()
    assert all((shares == MIN_ACTIVE_SHARE).all() for _, shares in means.activated.values())


def test_only_the_batches_of_the_part_have_means(model):
    data = Dataset({"x": SAMPLES}, None, 8, 2)
    assert sorted(observed(model, data.spread(4), data)) == [0, 2]
