"""A scale for each channel of each matrix, group and direction; biases that need wide scales."""

import json

import numpy as np
import pytest

from quant.pipeline import Inputs, quantize_model
from quant.runtime import optimised_operators
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)


def normal(*shape):
    return (RNG.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)


def test_the_cases_of_the_field_reach_the_figure_of_a_scale_each(quantize_case):
    assert quantize_case("experts-x2", "int8-weights").summary["output_sqnr_db"] > 45.8
    assert quantize_case("grouped-ranges", "int8-weights").summary["output_sqnr_db"] > 37.4


def test_integer_kernels_take_a_scale_for_each_matrix_and_column(quantize_case):
    case = quantize_case("experts-x2", "int8")
    assert optimised_operators(case.model.read_bytes())["MatMulIntegerToFloat"] == 1
    assert case.summary["output_sqnr_db"] > 38


def test_a_codebook_fares_no_worse_than_uniform_levels_where_biases_need_wide_scales(quantize_case):
    codebook, uniform = (quantize_case("dead-bn-1e-6", preset) for preset in ("codebook4", "int4"))
    assert codebook.summary["output_sqnr_db"] >= uniform.summary["output_sqnr_db"] > 26
    notes = [note for layer in codebook.report["layers"] for note in layer["notes"]]
    assert any("widened so that their bias fits int32" in note for note in notes)


def quantized(tmp_path, text, spec, shape, arrays):
    """Return the report and the file of a model of this text."""
    (tmp_path / "m.onnx").write_bytes(proto_of(text, **arrays))
    np.savez(tmp_path / "c.npz", x=RNG.normal(size=(32, *shape)).astype(np.float32))
    spec = {**spec, "measure": {"latency": False}}
    sets = (tmp_path / "c.npz", tmp_path / "c.npz")
    quantize_model(Inputs(tmp_path / "m.onnx", "m.onnx", spec, *sets), tmp_path, lambda *_: None)
    return json.loads((tmp_path / "report.json").read_text()), (tmp_path / "model.onnx").read_bytes()


@pytest.mark.parametrize("profile", ["ort-cpu", "generic"])
@pytest.mark.parametrize(
    ("text", "shape", "weights"),
    [
        ("net (float[B, 3, 4, 90] x) => (float[B, 3, 4, 30] y) { y = MatMul (x, w) }", (3, 4, 90), {"w": (3, 90, 30)}),
        ("net (float[B, 3, 2, 4, 90] x) => (float[B, 3, 2, 4, 30] y) { y = MatMul (x, w) }", (3, 2, 4, 90),
         {"w": (3, 2, 90, 30)}),
        ("net (float[B, 3, 90, 4] x) => (float[B, 3, 30, 4] y) { y = MatMul (w, x) }", (3, 90, 4), {"w": (3, 30, 90)}),
        ("net (float[B, 12, 70] x) => (float[12, 2, B, 16] y) { t = Transpose <perm = [1, 0, 2]> (x) "
         'y = GRU <hidden_size = 16, direction = "bidirectional"> (t, w, r) }', (12, 70),
         {"w": (2, 48, 70), "r": (2, 48, 16)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("preset", ["int8", "int8-weights"])
def test_matrices_of_different_size_lose_nothing_to_each_other(text, shape, weights, preset, profile, tmp_path):
    errors = []
    for factor in (1.0, 40.0):
        arrays = {name: np.random.default_rng(1).normal(size=size) / 8 for name, size in weights.items()}
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        arrays["w"][0] *= factor
        report, _ = quantized(tmp_path, text, {"preset": preset, "export": {"profile": profile}}, shape, arrays)
        errors.append(report["layers"][0]["weight"]["mse"])
        assert len(report["layers"][0]["fits"]) == np.prod(weights["w"]) // {90: 90, 30: 90, 70: 70}[weights["w"][-1]]
    assert errors[1] == pytest.approx(errors[0] * (1600 + len(arrays["w"]) - 1) / len(arrays["w"]), rel=0.1)


@pytest.mark.parametrize("kernel", [(4,), (3, 3), (2, 3, 2)])
@pytest.mark.parametrize(("groups", "outputs"), [(2, 3), (4, 1), (8, 1), (8, 2)])
@pytest.mark.parametrize("preset", ["int8-weights", "int4", "codebook4"])
def test_groups_of_a_transposed_convolution_have_scales_of_their_own(kernel, groups, outputs, preset, tmp_path):
    sizes = ", ".join(["5"] * len(kernel))
    text = f"net (float[B, 8, {sizes}] x) => (float y) {{ y = ConvTranspose <group = {groups}> (x, w) }}"
    weight = normal(8, outputs, *kernel)
    weight *= np.repeat(np.geomspace(1, 100, groups), 8 // groups).reshape(-1, *[1] * (len(kernel) + 1))
    report, data = quantized(
        tmp_path, text, {"preset": preset}, (8, *[5] * len(kernel)), {"w": weight.astype(np.float32)}
    )
    (layer,) = report["layers"]
    assert layer["weight"]["sqnr_db"] > {"int8-weights": 38, "int4": 15, "codebook4": 10}[preset]
    assert optimised_operators(data)["DequantizeLinear(weight)"] == 0


@pytest.mark.parametrize("preset", ["int4", "codebook4", "ternary"])
@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
def test_no_bias_is_clipped_whatever_the_grid(kind, preset, tmp_path):
    weight = normal(6, 4, 3, 3) if kind == "Conv" else normal(4, 6)
    channel = np.geomspace(1, 1e-12, 6).astype(np.float32)
    weight = weight * channel.reshape(-1, 1, 1, 1) if kind == "Conv" else weight * channel
    bias = np.full(6, 3, np.float32)
    input_shape, output = ((4, 7, 7), "6, 5, 5") if kind == "Conv" else ((4,), "6")
    shape = ", ".join(map(str, input_shape))
    text = f"net (float[B, {shape}] x) => (float[B, {output}] y) {{ h = {kind} (x, w, b) y = Relu (h) }}"
    report, _ = quantized(tmp_path, text, {"preset": preset}, input_shape, {"w": weight, "b": bias})
    assert report["summary"]["output_sqnr_db"] > 12
    notes = [note for layer in report["layers"] for note in layer["notes"]]
    assert any("widened so that their bias fits int32" in note for note in notes)
