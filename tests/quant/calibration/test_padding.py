"""Padding is left out of ranges and moments."""

import numpy as np
import pytest

from quant.calibration.observers import observe
from quant.calibration.padding import MASK, RealTokens, without_padding
from quant.data.dataset import Dataset
from quant.graph.weightless import weightless
from quant.search.context import Source, calibrate
from quant.search.variants import Variant
from quant.spec import resolve
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
REAL = np.array([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(
    ("shape", "kept"),
    [((2, 3, 4), (1, 3, 4)), ((6, 4), (3, 4)), ((2, 3), (2, 3)), ((2, 5, 3, 4), (2, 5, 3, 4)), ((2, 4, 3), (2, 4, 3))],
)
def test_rows_of_padding_are_removed_from_tensors_of_tokens(shape, kept):
    value = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    real = without_padding(value, REAL)
    assert real.shape == kept
    if shape != kept:
        np.testing.assert_array_equal(real.reshape(3, 4), value.reshape(6, 4)[REAL.reshape(-1)])


def data(dtype):
    tokens = RNG.normal(size=(32, 5, 8)).astype(np.float32)
    mask = (np.arange(5) < RNG.integers(1, 6, (32, 1))).astype(dtype)
    tokens[mask == 0] = 1000
    return Dataset({"x": tokens, MASK: mask}, None, 32, 8)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool])
def test_ranges_and_moments_are_those_of_real_tokens(dtype):
    kind = {np.int64: "int64", np.float32: "float", bool: "bool"}[dtype]
    model = model_of(
        f"net (float[N, 5, 8] x, {kind}[N, 5] {MASK}) => (float[N, 5, 4] y, {kind}[N, 5] m) "
        f"{{ y = MatMul (x, w) m = Identity ({MASK}) }}",
        w=RNG.normal(size=(8, 4)),
    )
    samples = data(dtype)
    spec = resolve({"preset": "int8", "weights": {"clipping": "auto"}})
    context = calibrate(Variant("", model, {}), samples, spec, Source(1, ""), lambda *_: None)
    real = samples.inputs["x"][samples.inputs[MASK] != 0]
    assert context.first_ranges.ranges["x"].maximum == real.max() < 1000
    (moments,) = context.moments.values()
    assert abs(moments.mean).max() < 1


def test_a_batch_without_real_tokens_is_passed_on_whole():
    class Recorder:
        def __init__(self):
            self.seen = []

        def wants(self, number):
            return ["x"]

        def add(self, number, values):
            self.seen.append(values["x"].shape)

    model = model_of(f"net (float[N, 5, 8] x, int64[N, 5] {MASK}) => (float[N, 5, 8] y) {{ y = Relu (x) }}")
    samples = data(np.int64)
    samples.inputs[MASK][:8] = 0
    samples.inputs[MASK][8:16] = 1
    recorder = Recorder()
    observe(weightless(model), samples, [RealTokens(recorder)], lambda *_: None)
    assert recorder.seen[:2] == [(8, 5, 8), (8, 5, 8)]
    assert recorder.seen[2][0] == 1
