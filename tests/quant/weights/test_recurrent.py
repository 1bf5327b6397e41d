"""Weights of LSTM, GRU and RNN: blocks of few inputs, both directions, and error feedback."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.input_moments import SecondMoments
from quant.graph.inventory import inventory
from quant.runtime import Session
from quant.search.candidates import assemble
from quant.spec import resolve
from quant.weights.granularity import PerBlock, PerMatrixChannel
from quant.weights.layers import choose_layers, quantize_layers
from quant.weights.quantize import decoded
from tests.quant.one_layer import output_error
from tests.quant.onnx_text import model_of

INPUTS, STATES, GATES = 12, 48, 3
TEXT = """
net (float[6, N, 12] x) => (float[6, D, N, 48] y) {
  y = GRU <hidden_size = 48, direction = "bidirectional"> (x, w, r)
}
"""


@pytest.fixture(scope="module")
def model() -> ir.Model:
    normal = np.random.default_rng(3).standard_normal
    sizes = np.geomspace(1, 100, INPUTS)
    return model_of(TEXT, w=normal((2, GATES * STATES, INPUTS)) * sizes, r=normal((2, GATES * STATES, STATES)) / 8)


def weights_of(model, raw, moments=None):
    """The quantized input weight and recurrent weight of the only node."""
    spec = resolve({"preset": "int8-weights", **raw})
    work, _ = choose_layers(model, spec, calibrated=moments is not None)
    return quantize_layers(work, moments or {}, spec, lambda *_: None)


@pytest.mark.parametrize(("bits", "block"), [(8, 8), (4, 16), (2, 32)])
def test_few_inputs_share_scales_in_blocks_that_take_half_the_bits_of_their_codes(model, bits, block):
    inputs, states = weights_of(model, {"weights": {"bits": bits}})
    assert inputs.quantized.granularity == PerBlock(2, block)
    assert inputs.spec.granularity == "block"
    assert inputs.notes
    assert states.quantized.granularity == PerMatrixChannel((0, 1))


@pytest.mark.parametrize(
    "weights", [{"granularity": "tensor"}, {"scale": "power_of_two"}, {"bits": 4, "grid": "kmeans"}]
)
def test_other_scales_and_grids_have_no_such_blocks(model, weights):
    inputs, _ = weights_of(model, {"weights": weights})
    assert inputs.quantized.block == 0


def test_as_many_inputs_as_states_have_a_scale_for_each_row():
    normal = np.random.default_rng(3).standard_normal
    text = "net (float[6, N, 8] x) => (float[6, D, N, 8] y) { y = RNN <hidden_size = 8> (x, w, r) }"
    inputs, _ = weights_of(model_of(text, w=normal((1, 8, 8)), r=normal((1, 8, 8))), {})
    assert inputs.quantized.block == 0


def test_blocks_of_the_spec_hold_for_both_weights(model):
    layers = weights_of(model, {"weights": {"bits": 4, "granularity": "block", "block_size": 16}})
    assert [layer.quantized.granularity for layer in layers] == [PerBlock(2, 16)] * 2
    for layer in layers:
        assert layer.quantized.scale.shape == (2, GATES * STATES, -(-layer.layer.shape[2] // 16))


@pytest.mark.parametrize("profile", ["ort-cpu", "generic"])
def test_the_exported_weights_are_those_of_the_codes(model, profile):
    spec = {"export": {"profile": profile}, "weights": {"bits": 4}}
    layers = weights_of(model, spec)
    exported, _ = assemble(model, layers, {}, {}, 21)
    changed = model.clone()
    for before, after in zip(layers, inventory(changed)[0], strict=True):
        after.graph.initializers[after.weight_name].const_value = ir.tensor(decoded(before.quantized))
    x = np.random.default_rng(0).standard_normal((6, 2, INPUTS)).astype(np.float32) / 50
    actual, expected = (
        Session(ir.to_proto(candidate).SerializeToString()).run({"x": x})[0] for candidate in (exported, changed)
    )
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("granularity", ["channel", "block"])
def test_the_presets_round_by_error_feedback_where_moments_are_known(model, granularity):
    random = np.random.default_rng(1)
    moments = {}
    for layer in inventory(model)[0]:
        inputs = layer.shape[2]
        rows = random.normal(size=(2, 400, inputs)) @ random.normal(size=(inputs, inputs))
        moments[layer.name] = SecondMoments(rows.swapaxes(1, 2) @ rows / 400, rows.mean(axis=1))
    spec = {"bits": 4, "granularity": granularity, "clipping": "minmax"}
    feedback = weights_of(model, {"weights": spec}, moments)
    nearest = weights_of(model, {"weights": spec | {"rounding": "nearest"}}, moments)
    for better, worse in zip(feedback, nearest, strict=True):
        square = moments[better.layer.name].square
        errors = [
            output_error(decoded(layer.quantized) - layer.layer.weight, square).sum(axis=1) for layer in (better, worse)
        ]
        assert (errors[0] < 0.7 * errors[1]).all()
