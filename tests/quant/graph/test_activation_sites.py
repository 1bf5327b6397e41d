"""The activation that clips a layer's output at zero is found, also after a sum with a shortcut."""

import numpy as np
import pytest

from quant.graph.activation_sites import site_of
from quant.graph.inventory import inventory
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
W, ZERO, SIX, BELOW = RNG.normal(size=(4, 4, 1, 1)), np.zeros(()), np.array(6.0), np.array(-1.0)
CHANNELS = np.arange(1.0, 5.0).reshape(4, 1, 1)


def site(body, **arrays):
    text = f"net (float[N, 4, 3, 3] x, float[N, 4, 3, 3] s) => (float[N, 4, 3, 3] y) {{ c = Conv (x, w) {body} }}"
    return site_of(inventory(model_of(text, w=W, **arrays))[0][0])


def test_a_relu_has_no_upper_bound():
    found = site("y = Relu (c)")
    assert (found.output, found.upper, found.total) == ("y", None, None)


def test_a_clip_from_zero_has_its_upper_bound():
    assert site("y = Clip (c, zero, six)", zero=ZERO, six=SIX).upper == 6


def test_an_equalized_clip_has_a_bound_a_channel():
    found = site("r = Relu (c) y = Min (r, bounds)", bounds=CHANNELS)
    assert found.output == "y"
    np.testing.assert_array_equal(found.upper, CHANNELS)


@pytest.mark.parametrize(("body", "other"), [("a = Add (c, s) y = Relu (a)", 1), ("a = Add (s, c) y = Relu (a)", 0)])
def test_a_sum_with_a_shortcut_is_named_with_its_other_operand(body, other):
    found = site(body)
    assert (found.output, found.total, found.other) == ("y", "a", other)


@pytest.mark.parametrize("body", [
    "y = Sigmoid (c)", "y = Clip (c, below, six)", "y = Clip (c, zero)", "y = Clip (c, zero, s)",
    "r = Relu (c) y = Add (r, c)",
])  # fmt: skip
def test_any_other_reader_is_no_site(body):
    arrays = {"zero": ZERO, "six": SIX, "below": BELOW}
    used = {name: array for name, array in arrays.items() if name in body}
    assert site(body, **used) is None


def test_a_sum_that_broadcasts_the_layers_channel_is_no_site():
    text = """net (float[N, 4, 3, 3] x, float[N, 4, 3, 3] s) => (float[N, 4, 3, 3] y) {
        c = Conv (x, w) a = Add (c, s) y = Relu (a) }"""
    assert site_of(inventory(model_of(text, w=W[:1]))[0][0]) is None
