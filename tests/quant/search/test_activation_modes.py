"""The choice of static, dynamic or float inputs."""

import numpy as np
import pytest

from quant.data.dataset import Dataset
from quant.search.activation_modes import FLOAT_INPUT_NOTE, choose_dynamic_inputs
from quant.search.context import Source, calibrate
from quant.search.decide import choose, quantize_weights
from quant.search.variants import Variant
from quant.spec import resolve
from quant.weights.storage_form import StorageForm
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
TWO_LAYERS = "net (float[1, 16] x) => (float[1, 8] y) { q = MatMul (x, w) k = MatMul (x, v) y = Add (q, k) }"


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def chosen(samples, text=TWO_LAYERS, spec=None, **arrays):
    """Return the choice for a network with these samples, each of which is a batch."""
    model = model_of(text, **(arrays or {"w": normal(16, 8), "v": normal(16, 8)}))
    resolved = resolve({"activations": {"mode": "auto"}, "bias_correction": "none", **(spec or {})})
    data = Dataset({"x": samples}, None, len(samples), 1, fixed=True)
    context = calibrate(Variant("", model, {}), data, resolved, Source(1 << 20, "0" * 64), lambda *_: None)
    choice = choose(context, quantize_weights(context, lambda *_: None), lambda *_: None)
    return choose_dynamic_inputs([choice], lambda *_: None)


def forms(choice):
    return [layer.form for layer in choice.layers]


def test_samples_of_unlike_sizes_have_dynamic_ranges():
    choice = chosen(normal(32, 16) * np.geomspace(0.1, 10, 32, dtype=np.float32)[RNG.permutation(32), None])
    assert forms(choice) == [StorageForm.DYNAMIC] * 2
    assert choice.name == "dynamic inputs: 2"
    assert choice.compared[choice.name] == max(choice.compared.values())
    assert choice.ranges == {}


def test_samples_of_one_range_keep_the_static_one():
    samples = np.clip(normal(32, 16), -2, 2)
    samples[:, :2] = -2, 2
    choice = chosen(samples)
    assert forms(choice) == [StorageForm.INTEGER] * 2
    assert "dynamic inputs: 2" in choice.compared
    assert "dynamic" not in choice.name
    assert list(choice.ranges) == ["x"]


def test_a_small_layer_whose_input_has_outliers_reads_floats():
    samples, scale, weight = normal(32, 16), np.ones(16, np.float32), normal(16, 8)
    samples[:, 0] *= 3000
    scale[0], weight[0] = 1 / 3000, 0
    text = """net (float[1, 16] x) => (float[1, 8] y) {
        m = Mul (x, scale) q = MatMul (x, w) h = MatMul (m, v) t = Tanh (h) z = MatMul (t, u) y = Add (q, z) }"""
    choice = chosen(samples, text, scale=scale, w=weight, v=normal(16, 64), u=normal(64, 8) / 100)
    assert forms(choice)[0] is StorageForm.FOLDED
    assert FLOAT_INPUT_NOTE in choice.layers[0].notes
    assert choice.name.endswith("float inputs: 1")


@pytest.mark.parametrize("spec", [{"budget": {"max_bytes": 1 << 20}}, {"activations": {"mode": "static"}}])
def test_a_search_for_bits_and_the_mode_static_compare_no_dynamic_range(spec):
    choice = chosen(normal(32, 16), spec=spec)
    assert not any("dynamic" in name for name in choice.compared)
    assert StorageForm.DYNAMIC not in forms(choice)


def test_a_classifier_behind_convolutions_keeps_its_static_range():
    text = """net (float[1, 2, 4, 4] x) => (float[1, 3] y) {
        a = Conv(x, w)
        b = Conv(a, v)
        f = Flatten(b)
        y = MatMul(f, u) }"""
    arrays = {"w": normal(4, 2, 1, 1), "v": normal(4, 4, 1, 1), "u": normal(64, 3)}
    choice = chosen(normal(32, 2, 4, 4), text, **arrays)
    assert forms(choice) == [StorageForm.INTEGER] * 3
    assert not any("dynamic" in name for name in choice.compared)


@pytest.mark.parametrize(
    "spec",
    [
        {"activations": {"symmetric": True}},
        {"activations": {"bits": 16}},
        {"activations": {"scale": "power_of_two"}},
        {"export": {"profile": "ort-arm64"}},
        {"export": {"profile": "qnn"}},
        {"activations": None},
    ],
)
def test_the_default_of_int8_gives_way_to_what_needs_static_ranges(spec):
    assert resolve({"preset": "int8"}).may_be_dynamic
    assert not resolve({"preset": "int8", **spec}).may_be_dynamic


def test_a_rare_value_that_widens_the_exported_range_counts_against_it():
    samples = np.clip(normal(32, 16), -1, 1)
    samples[7, 0] = 40  # held out: the ranges of the other samples are narrow
    assert forms(chosen(samples)) == [StorageForm.DYNAMIC] * 2
