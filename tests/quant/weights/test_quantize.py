"""On real networks every method's measured error lies in the report beside the expected one."""

import pytest

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.kernel import dispatch
from quant.methods.registry import describe_clip_rules
from quant.report.report import layer_report
from quant.spec import resolve
from quant.weights.granularity import PerChannel
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import clip_bound, fit_weight, quantize_weight
from quant.weights.storage_form import StorageForm

MODELS = (
    "mnist_opset8", "mobilenetv1_075_imagenet", "resnet20_cifar10", "resnet20_cifar10_jpeg", "resnet56_cifar10",
    "resnet8_mlperftiny", "vit_mnist", "vww_mobilenetv1_025",
)  # fmt: skip
RULES = [rule["name"] for rule in describe_clip_rules()]


@pytest.mark.data
@pytest.mark.parametrize("name", MODELS)
def test_measured_and_expected_errors_of_every_method_are_reported(data, name):
    layers, _ = inventory(normalise(load((data / "models" / f"{name}.onnx").read_bytes())))
    rows, weights = sum(layer.weight.shape[layer.axis] for layer in layers), sum(layer.size for layer in layers)
    compiled = dispatch.pay(rows, weights)  # as in a job; the small networks use NumPy
    for layer in layers:
        fitted = fit_weight(layer.weight, PerChannel(layer.axis), section("auto", 8), compiled)
        for bits in (4, 8):
            by_rule = {rule: quantized(layer, fitted, section(rule, bits)) for rule in RULES}
            for rule, result in by_rule.items():
                error = result.quantized.error
                assert error.mae >= 0 <= error.mse, rule
                assert not error.mae_expected < 0, rule
            measured = {rule: result.quantized.error.mse for rule, result in by_rule.items()}
            best = min(measured["minmax"], measured["mse"], measured["empirical_mse"])
            assert measured["auto"] <= 1.001 * best, layer.name
        reported = layer_report(by_rule["mae"], 21)["weight"]
        error = by_rule["mae"].quantized.error
        assert (reported["mae"], reported["mse"]) == (error.mae, error.mse)
        assert reported["mae_expected"] in (error.mae_expected, None)
        if fitted.statistics.count[0] > 500:
            coarse = quantized(layer, fitted, section("mae", 4)).quantized.error
            assert coarse.mae_expected == pytest.approx(coarse.mae, rel=0.35)


def section(rule, bits):
    return resolve({"preset": "int8-weights", "weights": {"bits": bits, "clipping": rule}}).weights


def quantized(layer, fitted, spec):
    return QuantizedLayer(
        layer, spec, StorageForm.FOLDED, fitted, quantize_weight(fitted, spec, clip_bound(fitted, spec)), 0.0
    )
