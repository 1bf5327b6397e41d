"""The warning about weights that are dequantized at every inference names the layers and the reason."""

import json

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"preset": "int4", "export": {"weight_storage": "direct"}}, ["conv0", "conv2"]),
        ({"preset": "int8-weights", "export": {"profile": "generic"}}, ["conv0", "conv2"]),
        ({"preset": "int4"}, []),
        ({"preset": "int8"}, []),
    ],
)
def test_layers_and_reason_are_named(spec, named, tmp_path):
    text = "net (float[B, 4, 9, 9] x) => (float[B, 8, 7, 7] y) { h = Conv (x, w) r = Relu (h) y = Conv (r, v) }"
    arrays = {"w": RNG.normal(size=(8, 4, 3, 3)), "v": RNG.normal(size=(8, 8, 1, 1))}
    (tmp_path / "m.onnx").write_bytes(proto_of(text, **arrays))
    np.savez(tmp_path / "c.npz", x=RNG.normal(size=(16, 4, 9, 9)).astype(np.float32))
    inputs = Inputs(tmp_path / "m.onnx", "m.onnx", {**spec, "measure": {"latency": False}}, tmp_path / "c.npz")
    quantize_model(inputs, tmp_path, lambda *_: None)
    report = json.loads((tmp_path / "report.json").read_text())
    warnings = [warning for warning in report["warnings"] if "dequantized at every inference" in warning]
    assert len(warnings) == (1 if named else 0)
    for warning in warnings:
        assert all(repr(name) in warning for name in named)
        assert "export.weight_storage fast" in warning
