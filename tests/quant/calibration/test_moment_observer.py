"""Observed moments of layer inputs, against all rows of the inputs."""

import numpy as np
import pytest

from quant.calibration import moment_observer
from quant.calibration.input_moments import InputSample, SecondMoments
from quant.calibration.moment_observer import NARROW, MomentObserver
from quant.calibration.observers import observe
from quant.data.dataset import Dataset
from quant.graph.im2col import input_rows, weight_matrix
from quant.graph.inventory import inventory
from quant.graph.weightless import weightless
from tests.quant.one_layer import KINDS, model_of, moments_of, output_error
from tests.quant.onnx_text import model_of as model_of_text

RNG = np.random.default_rng(0)


@pytest.fixture(params=KINDS)
def built(request):
    """Return a model of one layer, and 6 samples."""
    op, weight, sample, attributes = KINDS[request.param]
    return model_of(op, weight, sample, attributes), RNG.normal(size=(6, *sample)).astype(np.float32)


def test_the_moments_predict_the_output_error_of_any_change_of_the_weights(built, monkeypatch):
    monkeypatch.setattr(moment_observer, "FEW_ROWS_PER_INPUT", 0)
    model, samples = built
    (layer,), _ = inventory(model)
    data = Dataset({"x": samples}, None, len(samples), 2)
    moments = moments_of(model, [layer], data)[layer.name]
    change = RNG.normal(size=weight_matrix(layer, layer.weight).shape)
    predicted = output_error(change, moments.square)
    rows = input_rows(layer, samples, 10**9, 0)
    np.testing.assert_allclose(predicted, (np.einsum("gnk,gok->gno", rows, change) ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=1), atol=1e-6)
    shifted = np.einsum("gok,gk->go", change, moments.mean)
    np.testing.assert_allclose(output_error(change, moments.covariance), predicted - shifted**2, rtol=1e-5)


@pytest.mark.parametrize(("width", "needs_all", "kind"), [
    (NARROW, False, SecondMoments), (NARROW + 1, False, InputSample), (NARROW + 1, True, SecondMoments),
])  # fmt: skip
def test_a_wide_layer_gets_a_sample_unless_it_needs_all_second_moments(width, needs_all, kind):
    model = model_of("MatMul", (width, 3), (width,), {})
    layers, data = inventory(model)[0], Dataset({"x": RNG.normal(size=(9, width)).astype(np.float32)}, None, 9, 3)
    observer = MomentObserver(model, [(layer, needs_all) for layer in layers], data)
    observe(weightless(model), data, [observer], lambda *_: None)
    (moments,) = observer.moments().values()
    assert isinstance(moments, kind)
    np.testing.assert_allclose(moments.mean[0], data.inputs["x"].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moments.diagonal[0], (data.inputs["x"] ** 2).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(("room", "kinds"), [(0, [InputSample, SecondMoments]), (1, [SecondMoments, SecondMoments])])
def test_the_widest_layers_get_a_sample_where_memory_is_short(monkeypatch, room, kinds):
    text = "net (float[N, 200] x) => (float[N, 1] y) { a = MatMul (x, v) b = Tanh (a) y = MatMul (b, w) }"
    model = model_of_text(text, v=RNG.normal(size=(200, 100)), w=RNG.normal(size=(100, 1)))
    layers = inventory(model)[0]
    both = 8 * (200**2 + 100**2)
    assert 8 * 100**2 <= 4 * sum(layer.size for layer in layers) < both, "the weights leave room for one of them"
    monkeypatch.setattr(moment_observer, "MAX_MOMENT_BYTES", room * both)
    data = Dataset({"x": RNG.normal(size=(9, 200)).astype(np.float32)}, None, 9, 3)
    observer = MomentObserver(model, [(layer, True) for layer in layers], data)
    observe(weightless(model), data, [observer], lambda *_: None)
    assert [type(observer.moments()[layer.name]) for layer in layers] == kinds


def test_layers_that_share_a_weight_share_their_moments():
    text = "net (float[N, 4] x) => (float[N, 4] y) { a = MatMul (x, w) r = Relu (a) y = MatMul (r, w) }"
    model = model_of_text(text, w=RNG.normal(size=(4, 4)))
    samples = RNG.normal(size=(8, 4)).astype(np.float32)
    first, second = moments_of(model, inventory(model)[0], Dataset({"x": samples}, None, 8, 4)).values()
    weight = inventory(model)[0][0].weight
    rows = np.concatenate([samples, np.maximum(samples @ weight, 0)])
    for moments in (first, second):
        np.testing.assert_allclose(moments.square[0], rows.T @ rows / len(rows), rtol=1e-4, atol=1e-5)
