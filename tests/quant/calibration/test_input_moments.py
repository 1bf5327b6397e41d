"""Second moments of a layer's input, measured or from a sample of rows."""

import numpy as np
import pytest

from quant.calibration.input_moments import InputSample, SecondMoments
from quant.data.dataset import Dataset
from quant.graph.im2col import input_rows, weight_matrix
from quant.graph.inventory import inventory
from tests.quant.one_layer import KINDS, model_of, moments_of, output_error

RNG = np.random.default_rng(0)


@pytest.fixture(params=KINDS)
def built(request):
    """A model of one layer, and 6 samples."""
    op, weight, sample, attributes = KINDS[request.param]
    return model_of(op, weight, sample, attributes), RNG.normal(size=(6, *sample)).astype(np.float32)


def test_the_moments_predict_the_output_error_of_any_change_of_the_weights(built):
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


def test_a_sample_of_rows_and_its_moments_give_the_same_output_energies():
    rows = RNG.normal(size=(3, 200, 7)).astype(np.float32) + np.float32(0.3)
    sums = SecondMoments(rows.swapaxes(1, 2).astype(float) @ rows / 200, rows.mean(axis=1, dtype=float))
    a, b = RNG.normal(size=(2, 3, 5, 7))
    outputs = [np.einsum("gnk,gok->gno", rows, weights) for weights in (a, b)]
    for moments in (InputSample(rows), sums):
        energy, product = moments.energies(a, b)
        np.testing.assert_allclose(energy, (outputs[0] ** 2).mean(axis=1), rtol=1e-4)
        np.testing.assert_allclose(product, (outputs[0] * outputs[1]).mean(axis=1), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(moments.energy(a), energy, rtol=1e-6)
