"""On real networks every method's measured error lies in the report beside the expected one."""

import pytest

from quant.graph.inventory import inventory
from quant.graph.load import load
from quant.graph.normalise import normalise
from quant.layers import QuantizedLayer
from quant.registry import describe_clip_rules
from quant.report import layer_report
from quant.spec import resolve
from quant.weights import clip_bound, fit_weight, quantize_weight

MODELS = (
    "mnist_opset8", "mobilenetv1_075_imagenet", "resnet20_cifar10", "resnet20_cifar10_jpeg", "resnet56_cifar10",
    "resnet8_mlperftiny", "vit_mnist", "vww_mobilenetv1_025",
)  # fmt: skip
RULES = [rule["name"] for rule in describe_clip_rules()]


@pytest.mark.data
@pytest.mark.parametrize("name", MODELS)
def test_measured_and_expected_errors_of_every_method_are_reported(data, name):
    layers, _ = inventory(normalise(load((data / "models" / f"{name}.onnx").read_bytes())))
    for layer in layers:
        spec = resolve({"preset": "int8-weights"}).weights
        fitted = fit_weight(layer.weight, layer.axis, spec)
        for bits in (4, 8):
            errors = {}
            for rule in RULES:
                section = resolve({"preset": "int8-weights", "weights": {"bits": bits, "clipping": rule}}).weights
                quantized = quantize_weight(fitted, section, clip_bound(fitted, section))
                told = layer_report(QuantizedLayer(layer, section, fitted, quantized, 0.0))
                errors[rule] = told["weight"]["mse"]
                assert told["clipping"] == rule
                assert told["weight"]["mae"] >= 0
                assert told["weight"]["mae_expected"] is None or told["weight"]["mae_expected"] >= 0
                if rule == "empirical_mae" and bits == 4 and fitted.statistics.count[0] > 500:
                    assert told["weight"]["mae_expected"] == pytest.approx(told["weight"]["mae"], rel=0.35)
            assert errors["auto"] <= 1.001 * min(errors["minmax"], errors["mse"], errors["empirical_mse"]), layer.name
