"""Large weights quantized in parts: the same codes as from the whole weight."""

import numpy as np
import pytest

from quant.graph.inventory import inventory
from quant.spec import resolve
from quant.weights import chunked
from quant.weights.chunked import quantize_contiguous, quantize_in_parts
from quant.weights.granularity import PerChannel, PerTensor
from quant.weights.layers import quantize_layers
from quant.weights.quantize import clip_bound, fit_weight, quantize_weight
from tests.quant.one_layer import model_of

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("granularity", ["tensor", "channel", "block"])
@pytest.mark.parametrize(
    ("clipping", "grid", "bits"),
    [("minmax", "uniform", 4), ("mae", "uniform", 4), ("support_region", "uniform", 4), ("auto", "lloyd_max", 4),
     ("auto", "uniform", 8)],
)  # fmt: skip
def test_parts_have_the_codes_of_the_whole(monkeypatch, clipping, grid, bits, granularity, compiled):
    if (granularity, grid) == ("block", "lloyd_max"):
        pytest.skip("blocks are uniform")
    monkeypatch.setattr(chunked, "WEIGHTS_AT_ONCE", 400)
    monkeypatch.setattr("quant.weights.layers.loops_pay", lambda work: compiled)
    weights = {"bits": bits, "clipping": clipping, "grid": grid, "granularity": granularity, "block_size": 16}
    spec = resolve({"preset": "int4-weights", "weights": weights})
    (layer,), _ = inventory(model_of("MatMul", (48, 40), (48,), {}))
    (whole,) = quantize_layers([(layer, spec.weights)], {}, spec, lambda *_: None)
    parts = quantize_in_parts(layer, spec.weights, spec, compiled)
    np.testing.assert_array_equal(parts.quantized.codes, whole.quantized.codes)
    np.testing.assert_array_equal(parts.quantized.scale, whole.quantized.scale)
    np.testing.assert_allclose(parts.quantized.clip, whole.quantized.clip)
    np.testing.assert_allclose(parts.quantized.error.mse, whole.quantized.error.mse)
    assert (parts.quantized.levels is None) == (grid == "uniform")
    assert len(parts.fitted.statistics.rows) == 1


@pytest.mark.parametrize("granularity", [PerChannel(0), PerChannel(2)])
def test_contiguous_rows_are_quantized_where_they_lie(granularity):
    weight = RNG.normal(size=(8, 10, 6)).astype(np.float32)
    section = resolve({"preset": "int4-weights", "weights": {"clipping": "minmax"}}).weights
    fitted = fit_weight(weight, granularity, section)
    expected = quantize_weight(fitted, section, clip_bound(fitted, section))
    result = quantize_contiguous(weight, granularity, 4)
    np.testing.assert_array_equal(result.codes, expected.codes)
    np.testing.assert_array_equal(result.scale, expected.scale)
    np.testing.assert_allclose(result.error.mse, expected.error.mse)
    assert result.error.clipped_fraction == 0


@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(1)])
def test_rows_that_are_not_contiguous_are_left_to_another_method(granularity):
    assert quantize_contiguous(RNG.normal(size=(8, 10, 6)).astype(np.float32), granularity, 4) is None


def test_a_rounding_that_needs_moments_is_replaced_and_noted():
    spec = resolve({"preset": "int4-weights", "weights": {"rounding": "expected_feedback"}})
    (layer,), _ = inventory(model_of("MatMul", (48, 40), (48,), {}))
    parts = quantize_in_parts(layer, spec.weights, spec, compiled=False)
    assert parts.spec.rounding.name == "nearest"
    assert any("too large for its inputs to be known" in note for note in parts.notes)
