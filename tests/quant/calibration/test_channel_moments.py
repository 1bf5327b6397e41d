"""Channel moments of clipped normals, and their way through operators."""

import numpy as np
import pytest

from quant.calibration.batchnorm_moments import batchnorm_moments
from quant.calibration.channel_moments import ChannelMoments, clip_moments, infer_tensor_moments, scale_moments
from quant.graph.normalise.normalise import normalise
from tests.quant.calibration.models import INPUT_DEVIATION, INPUT_MEAN, padded_network
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
# mean and variance of min(max(N(mu, s^2), a), b), from the reference table (Monte Carlo of 4 million agrees)
CLIPPED = [
    (0.3, 1.2, 0.0, np.inf, 0.64361364, 0.64098269),
    (-1.0, 0.5, 0.0, np.inf, 0.00424535, 0.00142416),
    (2.0, 3.0, 0.0, 6.0, 2.32617360, 4.38481771),
    (0.1, 0.8, -0.2, 0.7, 0.18640147, 0.14068131),
]
INPUT = ChannelMoments(np.array([0.5, -1.0]), np.array([1.0, 4.0]))


@pytest.mark.parametrize(("mean", "deviation", "lower", "upper", "expected", "variance"), CLIPPED)
def test_moments_of_a_clipped_normal(mean, deviation, lower, upper, expected, variance):
    clipped = clip_moments(ChannelMoments(np.array([mean]), np.array([deviation**2])), lower, upper)
    assert clipped.mean[0] == pytest.approx(expected, abs=2e-8)
    assert clipped.variance[0] == pytest.approx(variance, abs=2e-8)


def test_extreme_normals_stay_finite():
    moments = ChannelMoments(np.array([-1e3, 1e3, 0.0, 5.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    clipped = clip_moments(moments, 0, 6)
    np.testing.assert_allclose(clipped.mean, [0, 6, 0, 5], atol=1e-9)
    np.testing.assert_allclose(clipped.variance, 0, atol=1e-9)


def test_only_the_named_tensors_are_scaled():
    factors = {"a": np.array([2.0, -3.0])}
    scaled = scale_moments({"a": INPUT, "b": INPUT}, factors)
    np.testing.assert_array_equal(scaled["a"].mean, [1.0, 3.0])
    np.testing.assert_array_equal(scaled["a"].variance, [4.0, 36.0])
    assert scaled["b"] is INPUT


def test_moments_pass_a_conv_a_slice_and_channels_of_zeros():
    model, weight = padded_network(RNG)
    moments = infer_tensor_moments(normalise(model), {"x": batchnorm_moments(model)["x"]})
    mean = weight.sum(axis=(2, 3)) @ INPUT_MEAN
    variance = INPUT_DEVIATION**2 * (weight**2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(moments["c"].mean, mean, rtol=1e-4)
    np.testing.assert_allclose(moments["c"].variance, variance, rtol=1e-3)
    np.testing.assert_allclose(moments["p"].mean, [0, *mean, 0, 0], rtol=1e-4)
    np.testing.assert_allclose(moments["p"].variance[[0, -1]], 0)


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("y = Relu (x)", (0, np.inf)),
        ("y = Clip (x, low, high)", (-0.5, 2)),
        ("y = Clip (x, , high)", (-np.inf, 2)),
        ("r = Relu (x) y = Min (r, high)", (0, 2)),
    ],
)
def test_activations_clip_the_moments(text, bounds):
    constants = {"low": np.array(-0.5), "high": np.array(2.0)}
    used = {name: value for name, value in constants.items() if name in text}
    model = model_of(f"net (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y) {{ {text} }}", **used)
    moments, expected = infer_tensor_moments(model, {"x": INPUT})["y"], clip_moments(INPUT, *bounds)
    np.testing.assert_allclose(moments.mean, expected.mean)
    np.testing.assert_allclose(moments.variance, expected.variance)


def test_means_and_variances_of_summands_add_up():
    text = "net (float[N, 2, 4, 4] x, float[N, 2, 4, 4] z) => (float[N, 2, 4, 4] y) { y = Add (x, z) }"
    total = infer_tensor_moments(model_of(text), {"x": INPUT, "z": INPUT})["y"]
    np.testing.assert_array_equal(total.mean, 2 * INPUT.mean)
    np.testing.assert_array_equal(total.variance, 2 * INPUT.variance)


@pytest.mark.parametrize(
    "text",
    [
        "y = Sigmoid (x)",
        "y = Add (x, z)",
        "y = Clip (x, z)",
        "y = Pad (x, border)",
    ],
)
def test_nothing_is_inferred_where_it_does_not_follow(text):
    """A nonlinear operator, an unknown summand, a bound that is computed, and spatial borders."""
    arrays = {"border": np.array([0, 0, 1, 1, 0, 0, 1, 1])} if "border" in text else {}
    shape = "float z" if "Clip" in text else "float[N, 2, 4, 4] z"
    model = model_of(
        f"net (float[N, 2, 4, 4] x, {shape}) => (y) {{ {text} }}".replace("(y)", "(float[A, B, C, D] y)"), **arrays
    )
    assert set(infer_tensor_moments(model, {"x": INPUT})) == {"x"}
