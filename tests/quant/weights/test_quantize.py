"""One weight quantized: codes, scales and levels, and the errors that the report gives for real networks."""

import numpy as np
import pytest

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.methods.registry import describe_clip_rules, describe_grids
from quant.report.layer_entry import layer_report
from quant.spec import resolve
from quant.weights.granularity import PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import clip_bound, decoded, fit_weight, quantize_weight
from quant.weights.storage_form import StorageForm

MODELS = (
    "mnist_opset8",
    "resnet20_cifar10",
    "resnet56_cifar10",
    "resnet8_mlperftiny",
    "vit_mnist",
    "vww_mobilenetv1_025",
)
RULES = [rule["name"] for rule in describe_clip_rules()]
GRIDS = [grid["name"] for grid in describe_grids()]
RNG = np.random.default_rng(0)
MOST_LAYERS = 3


def spread(layers):
    """Return at most three layers of a network, from the first to the last."""
    at = np.linspace(0, len(layers) - 1, min(MOST_LAYERS, len(layers))).astype(int)
    return [layers[index] for index in at]


@pytest.mark.data
@pytest.mark.parametrize("name", MODELS)
def test_measured_and_expected_errors_of_every_method_are_reported(data, name):
    layers, _ = inventory(normalise(load((data / "models" / f"{name}.onnx").read_bytes())))
    for layer in spread(layers):
        fitted = fit_weight(layer.weight, PerChannel(layer.axis), section("auto", 8))
        for bits in (4, 8):
            results = {rule: quantized(layer, fitted, section(rule, bits)) for rule in RULES}
            errors = {rule: result.quantized.error for rule, result in results.items()}
            for rule, error in errors.items():
                assert error.mae >= 0 <= error.mse, rule
                assert not error.mae_expected < 0, rule
            best = min(errors[rule].mse for rule in ("minmax", "mse", "empirical_mse"))
            assert errors["auto"].mse <= 1.001 * best, layer.name
        entry = layer_report(results["mae"], resolve({"preset": "int8-weights"})).weight
        assert (entry.mae, entry.mse) == (errors["mae"].mae, errors["mae"].mse)
        assert entry.mae_expected in (errors["mae"].mae_expected, None)
        if fitted.statistics.count[0] > 500:
            coarse = quantized(layer, fitted, section("mae", 4)).quantized.error
            assert coarse.mae_expected == pytest.approx(coarse.mae, rel=0.35)


@pytest.mark.parametrize(
    "granularity",
    [PerTensor(), PerChannel(0), PerChannel(1), PerMatrixChannel((0, 1)), PerMatrixChannel((0, 2), 8), PerBlock(0, 16),
     PerBlock(1, 7)],
)  # fmt: skip
def test_codes_times_scale_are_within_half_a_step_of_the_weight(granularity):
    weight = RNG.normal(size=(40, 30)).astype(np.float32)
    fitted = fit_weight(weight, granularity, section("minmax", 8))
    result = quantize_weight(fitted, section("minmax", 8), clip_bound(fitted, section("minmax", 8)))
    values = decoded(result)
    step = granularity.restore(np.broadcast_to(result.clip[:, None] / 127, fitted.statistics.rows.shape), weight.shape)
    assert (np.abs(values - weight) <= 0.501 * step).all()
    assert result.error.mse == pytest.approx(np.mean((values - weight) ** 2), rel=1e-4)
    assert result.block == (granularity.size if isinstance(granularity, PerBlock) else 0)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("integer", [False, True])
def test_a_codebook_has_8_bit_levels_only_for_integer_kernels(grid, integer):
    weight, spec = RNG.laplace(size=(6, 200)).astype(np.float32), section("minmax", 2, grid)
    fitted = fit_weight(weight, PerChannel(0), spec)
    result = quantize_weight(fitted, spec, clip_bound(fitted, spec), integer=integer)
    if spec.grid.integer_levels:
        assert result.levels is None
        np.testing.assert_array_equal(decoded(result), result.codes * result.scale[:, None])
        return
    multiples = result.levels / result.scale[:, None]
    if integer:
        np.testing.assert_allclose(multiples, np.rint(multiples), atol=1e-4)
    assert np.abs(multiples).max() <= 127.01
    assert np.isin(decoded(result)[0], result.levels[0]).all()


def section(rule, bits, grid="uniform"):
    """Return a weights section with this clip rule, width and grid."""
    weights = {"bits": bits, "clipping": rule, "grid": grid}
    return resolve({"preset": "int8-weights", "weights": weights}).weights


def quantized(layer, fitted, spec):
    """Return the layer as the report takes it."""
    result = quantize_weight(fitted, spec, clip_bound(fitted, spec))
    return QuantizedLayer(layer, spec, StorageForm.FOLDED, fitted, result, 0.0)
