"""The moments that BatchNormalization implies for its own tensors and for the model's input."""

import numpy as np
import pytest

from quant.calibration.batchnorm_moments import batchnorm_moments
from quant.graph.load.onnx_file import load
from tests.quant.calibration.models import INPUT_DEVIATION, INPUT_MEAN, network, padded_network
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)


def test_scale_and_bias_give_the_moments_under_both_names():
    scale, bias = np.array([2.0, -3.0, 0.5]), np.array([1.0, 0.0, -1.0])
    text = "net (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) { r = Relu (x) y = BatchNormalization (r, g, b, m, v) }"
    moments = batchnorm_moments(load(proto_of(text, g=scale, b=bias, m=np.zeros(3), v=np.ones(3))))
    assert set(moments) == {"r", "y"}
    for channels in moments.values():
        np.testing.assert_array_equal(channels.mean, bias)
        np.testing.assert_array_equal(channels.variance, scale**2)


def test_the_moments_of_the_input_follow_from_the_statistics_of_the_first_convolution():
    model, _ = padded_network(RNG)
    moments = batchnorm_moments(model)["x"]
    np.testing.assert_allclose(moments.mean, INPUT_MEAN, atol=1e-5)
    assert moments.variance[0] == pytest.approx(INPUT_DEVIATION**2, rel=1e-4)


def test_a_normalised_model_has_no_batchnorm_left_to_imply_moments():
    model, known = network()
    assert set(known) == {"x", "c1", "n1", "c2", "n2"}
    assert batchnorm_moments(model) == {}
