"""Models that draw random numbers: they are quantized, and no figure compares two draws."""

import json

import numpy as np
import onnx
import pytest

from quant.pipeline import Inputs, quantize_model
from tests.specs import UNTIMED

KINDS = {
    "noise": "n = RandomNormalLike(z) y = Add(z, n)",
    "seeded noise": "n = RandomNormalLike<seed = 1.0>(z) y = Add(z, n)",
    "bernoulli": "p = Sigmoid(z) y = Bernoulli(p)",
    "noise before a layer": "n = RandomNormalLike(z) a = Add(z, n) y = MatMul(a, v)",
}


@pytest.mark.parametrize("preset", ["int8", "int8-weights", "int4"])
@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("kind", KINDS)
def test_random_outputs_have_no_figures_but_a_reason(kind, opset, preset, tmp_path):
    report = quantized(KINDS[kind], opset, preset, tmp_path)
    outputs = {output["name"]: output for output in report["outputs"]}
    assert outputs["z"]["sqnr_db"] > 10
    assert outputs["y"]["sqnr_db"] is None
    assert "random numbers" in outputs["y"]["reason"]
    assert report["summary"]["worst_output"]["name"] == "z"
    assert report["summary"]["top1_agreement"] is None
    if kind == "noise before a layer":
        behind = report["layers"][-1]
        assert behind["output"] is None
        assert "random numbers" in behind["output_reason"]


def quantized(tail, opset, preset, folder):
    """Quantize a model whose first output depends on random numbers, and return its report."""
    rng = np.random.default_rng(4)
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : {opset}]> g (float[N, 8] x) => (float[N, 5] y, float[N, 5] z) '
        f"{{ h = MatMul(x, w) r = Relu(h) z = MatMul(r, u) {tail} }}"
    )
    for name, shape in {"w": (8, 12), "u": (12, 5), "v": (5, 5)}.items():
        if any(name in node.input for node in model.graph.node):
            array = rng.normal(size=shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, folder / "m.onnx")
    sets = {role: folder / f"{role}.npz" for role in ("calibration", "evaluation")}
    for path in sets.values():
        np.savez(path, x=rng.normal(size=(24, 8)).astype(np.float32))
    quantize_model(Inputs(folder / "m.onnx", "m.onnx", {**UNTIMED, "preset": preset}, **sets), folder, lambda *_: None)
    return json.loads((folder / "report.json").read_text())
