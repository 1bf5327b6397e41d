"""A sample of channels stands for the whole weight, also where channels differ by orders of magnitude."""

import numpy as np
import pytest

from quant.errors import NonFiniteWeight
from quant.evaluation.sqnr import sqnr_db
from quant.graph.inventory import inventory
from quant.plan.sampled_weights import MAX_CHANNELS, WeightSampler, total_sqnr
from quant.spec import resolve
from quant.weights.layers import quantize_layers
from quant.weights.placeholder import placeholder
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)


def layer_of(weight):
    (layer,), _ = inventory(
        model_of(f"net (float[N, {len(weight)}] x) => (float[N, M] y) {{ y = MatMul(x, w) }}", w=weight)
    )
    return layer


def sampled(layer, spec):
    return WeightSampler(compiled=False).quantize(placeholder(layer, spec.weights, spec, 0))


def measured(layer, spec):
    """The SQNR of the whole weight."""
    (quantized,) = quantize_layers([(layer, spec.weights)], {}, spec, lambda *_: None)
    errors = quantized.quantized.errors
    return sqnr_db(float(errors.energy.sum()), float(errors.square.sum()))


@pytest.mark.parametrize(
    "weights", [{"clipping": "minmax"}, {}, {"granularity": "block"}, {"granularity": "tensor"}], ids=str
)
def test_a_sample_has_the_error_of_the_whole_weight(weights):
    spec = resolve({"preset": "int4-weights", "weights": weights})
    layer = layer_of(RNG.standard_t(4, size=(96, 500)) * RNG.lognormal(0, 0.5, size=500))
    sample = sampled(layer, spec)
    assert total_sqnr([sample]).sqnr_db == pytest.approx(measured(layer, spec), abs=0.5)
    assert sample.channels == (500 if weights.get("granularity") == "tensor" else MAX_CHANNELS)


def test_few_channels_are_all_taken():
    spec = resolve({"preset": "int4-weights"})
    layer = layer_of(RNG.normal(size=(40, MAX_CHANNELS)))
    assert total_sqnr([sampled(layer, spec)]).sqnr_db == pytest.approx(measured(layer, spec), abs=1e-6)


def test_layers_count_with_the_energy_of_the_whole_weight():
    spec = resolve({"preset": "int4-weights"})
    large, small = layer_of(RNG.normal(size=(40, 400))), layer_of(RNG.normal(size=(40, 4)) / 100)
    total = total_sqnr([sampled(large, spec), sampled(small, spec)])
    assert total.sqnr_db == pytest.approx(total_sqnr([sampled(large, spec)]).sqnr_db, abs=0.01)
    assert (total.channels, total.of_channels) == (MAX_CHANNELS + 4, 404)


def test_a_weight_of_zeros_is_exact():
    spec = resolve({"preset": "int4-weights"})
    assert total_sqnr([sampled(layer_of(np.zeros((40, 100))), spec)]).sqnr_db == 200


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused(value):
    weight = RNG.normal(size=(96, 1000))
    weight[5, 3] = value
    with pytest.raises(NonFiniteWeight, match="layer 'matmul0'"):
        sampled(layer_of(weight), resolve({"preset": "int8-weights"}))


def test_large_finite_weights_are_not_refused():
    spec = resolve({"preset": "int8-weights"})
    assert total_sqnr([sampled(layer_of(RNG.normal(size=(96, 100)) * 1e25), spec)]).sqnr_db > 20


def test_no_fit_predicts_the_error_of_levels_at_the_weights():
    spec = resolve({"preset": "codebook4"})
    total = total_sqnr([sampled(layer_of(RNG.normal(size=(40, 4))), spec)])
    assert (total.expected_sqnr_db, total.sqnr_db > 20) == (None, True)
    assert total.reason.startswith("the levels are placed at the weights themselves")
