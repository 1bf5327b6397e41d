"""Models that are slower quantized than in float: the record says so, and `keep_float: slower` mends it.

Variants of the kind: a volume, a depthwise 5x5, and convolutions of few channels. Ratios have a wide margin, since
other processes share the machine.
"""

import json

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)
NOT_SLOWER = 1.25
VARIANTS = {
    "volume beside a product": (
        "net (float[n,4,6,8,8] x) => (float[n,512] y) {"
        "c = Conv<pads=[1,1,1,1,1,1]>(x, k) r = Relu(c) f = Flatten(r) y = MatMul(f, w)}",
        {"k": (4, 4, 3, 3, 3), "w": (1536, 512)},
    ),
    "depthwise 5x5": (
        "net (float[n,32,28,28] x) => (float[n,32,28,28] y) {"
        "c = Conv<pads=[2,2,2,2], group=32>(x, k) r = Relu(c) y = Conv(r, w)}",
        {"k": (32, 1, 5, 5), "w": (32, 32, 1, 1)},
    ),
    "few channels": (
        "net (float[n,1,40,40] x) => (float[n,2,40,40] y) {"
        "c = Conv<pads=[1,1,1,1]>(x, k) r = Relu(c) y = Conv<pads=[1,1,1,1]>(r, w)}",
        {"k": (2, 1, 3, 3), "w": (2, 2, 3, 3)},
    ),
}  # fmt: skip
SHAPES = {"volume beside a product": (4, 6, 8, 8), "depthwise 5x5": (32, 28, 28), "few channels": (1, 40, 40)}


@pytest.fixture
def quantize(tmp_path):
    """Return a function that quantizes files by the preset int8; it returns the latency and the report."""

    def run(model, calibration, **spec):
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        outcome = quantize_model(
            Inputs(model, model.name, {"preset": "int8", **spec}, calibration), out, lambda *_: None
        )
        return outcome.latency, json.loads((out / "report.json").read_text())

    return run


@pytest.fixture(params=["instance-3d", *VARIANTS])
def files(request, tmp_path):
    """The model and the calibration set of a case."""
    if request.param == "instance-3d":
        folder = request.getfixturevalue("field")
        return folder / "instance-3d.onnx", folder / "instance-3d.calibration.npz"
    text, shapes = VARIANTS[request.param]
    weights = {name: RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:])) for name, shape in shapes.items()}
    model, calibration = tmp_path / "model.onnx", tmp_path / "calibration.npz"
    model.write_bytes(proto_of(text, **weights))
    np.savez(calibration, x=RNG.normal(size=(16, *SHAPES[request.param])).astype(np.float32))
    return model, calibration


def test_a_slower_model_has_a_warning_that_names_its_layers(files, quantize):
    latency, report = quantize(*files)
    if latency.ratio < NOT_SLOWER:
        pytest.skip(f"this processor runs the quantized model at {latency.ratio:.2f} of the float model's time")
    (warning,) = latency.warnings
    slow = [layer["name"] for layer in report["layers"] if f"{layer['name']} (" in warning]
    assert slow
    assert {layer.name for layer in latency.layers} == {layer["name"] for layer in report["layers"]}


def test_with_keep_float_it_is_not_slower(files, quantize):
    latency, report = quantize(*files, keep_float="slower")
    assert latency.ratio < NOT_SLOWER
    in_float = {node["name"] for node in report["skipped"] if "keep_float: slower" in node["reason"]}
    assert {rule["match"] for rule in report["spec"]["layers"]} == in_float
