"""Gemm and MatMul in every legal form, with the bounds of Clip in every shape: they work, and run as fast as float."""

import json

import numpy as np
import onnx
import pytest

from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators
from tests.quant.onnx_text import proto_of
from tests.specs import UNTIMED

RNG = np.random.default_rng(0)
N = 128


def normal(*shape):
    return (RNG.normal(size=shape) / np.sqrt(shape[0] if len(shape) > 1 else 1)).astype(np.float32)


VARIANTS = {
    "gemm bias [1, N]": ("x8", "y = Gemm <alpha = -0.5, beta = 3.0, transB = 1> (x, w, c)", {"c": (1, N)}),
    "gemm bias [M, 1]": ("x8", "y = Gemm <beta = 2.0> (x, w, c)", {"c": (8, 1)}),
    "gemm bias [M, N]": ("x8", "h = Gemm (x, w, c) y = Relu (h)", {"c": (8, N)}),
    "gemm bias scalar": ("x8", "h = Gemm (x, w, c) r = Relu (h) y = Softmax (r)", {"c": ()}),
    "gemm bias [1]": ("x8", "y = Gemm (x, w, c)", {"c": (1,)}),
    "gemm bias at run time": ("x8", "y = Gemm <beta = 0.5> (x, w, x)", {}),
    "gemm beta, no bias": ("x8", "y = Gemm <beta = 3.0> (x, w)", {}),
    "gemm transA": ("x8", "t = Transpose <perm = [1, 0]> (x) h = Exp (t) y = Gemm <transA = 1> (h, w)", {}),
    "gemm constant left": ("x8", "t = Gemm <transB = 1> (w, x) y = Transpose <perm = [1, 0]> (t)", {}),
    "gemm constant left, transA": (
        "x8",
        "t = Gemm <transA = 1, transB = 1> (w, x) y = Transpose <perm = [1, 0]> (t)",
        {},
    ),
    "matmul + [1, N]": (
        "x8",
        "h = MatMul (x, w) a = Add (c, h) r = Relu (a) y = MatMul (r, v)",
        {"c": (1, N), "v": (N, N)},
    ),
    "matmul + [M, 1]": ("x8", "h = MatMul (x, w) y = Add (c, h)", {"c": (8, 1)}),
    "matmul + [M, N]": ("x8", "h = MatMul (x, w) y = Add (c, h)", {"c": (8, N)}),
    "matmul + scalar": ("x8", "h = MatMul (x, w) y = Add (c, h)", {"c": ()}),
    "matmul + shortcut": ("x8", "h = MatMul (x, w) y = Add (x, h)", {}),
    "matmul, relu, more": ("x8", "h = MatMul (x, w) r = Relu (h) y = Softmax (r)", {}),
    "matmul, clip without bounds": ("x8", "h = MatMul (x, w) r = Clip (h) y = Softmax (r)", {}),
    "vector x matrix": ("x", "y = MatMul (x, w)", {}),
    "vector x matrix + N": ("x", "h = MatMul (x, w) y = Add (h, c)", {"c": (N,)}),
    "vector x matrix + [1, N]": ("x", "h = MatMul (x, w) y = Add (h, c)", {"c": (1, N)}),
    "matrix x vector": ("x", "h = MatMul (w, x) y = Relu (h)", {}),
    "one weight, two readers": ("x8", "h = MatMul (x, w) r = Relu (h) y = MatMul (r, w)", {}),
}


@pytest.mark.parametrize("preset", ["int8", "int8-weights", "int4", "int4-weights"])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_form_keeps_its_rank_and_no_weight_is_dequantized_at_every_inference(name, preset, tmp_path):
    kind, text, shapes = VARIANTS[name]
    batch = () if kind == "x" else (8,)
    size = "".join(f"{length}, " for length in batch)
    rank = "1, " if name.endswith("+ [1, N]") and not batch else size
    arrays = {"w": normal(N, N), **{key: normal(*shape) for key, shape in shapes.items()}}
    arrays = {key: np.asarray(array, np.float32) for key, array in arrays.items()}
    (tmp_path / "m.onnx").write_bytes(
        proto_of(f"net (float[{size}{N}] x) => (float[{rank}{N}] y) {{ {text} }}", **arrays)
    )
    samples = RNG.normal(size=(32, N)).astype(np.float32)
    np.savez(tmp_path / "c.npz", x=samples)
    spec = {"preset": preset, **UNTIMED, "smoothing": "none", "keep_float": "none"}
    quantize_model(
        Inputs(tmp_path / "m.onnx", "m.onnx", spec, tmp_path / "c.npz", tmp_path / "c.npz"), tmp_path, lambda *_: None
    )
    feeds = {"x": samples[:8] if batch else samples[0]}
    before, after = (Session(tmp_path / file).run(feeds)[0] for file in ("m.onnx", "model.onnx"))
    assert after.shape == before.shape
    noise = np.square(after - before).sum() / np.square(before - before.mean()).sum()
    assert noise < (3e-3 if preset.startswith("int8") else 0.2)
    operators = optimised_operators((tmp_path / "model.onnx").read_bytes())
    assert operators["DequantizeLinear(weight)"] == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert not [warning for warning in report["warnings"] if "dequantized" in warning]


def test_a_weight_with_two_readers_is_stored_once(quantize_case):
    for preset in ("int8-weights", "int4-weights"):
        case = quantize_case("shared-identity", preset)
        shapes = [list(tensor.dims) for tensor in onnx.load(case.model).graph.initializer]
        assert sorted(shape for shape in shapes if len(shape) == 2 and shape[0] > 1) == [[32, 8], [32, 32]]
        assert optimised_operators(case.model.read_bytes())["DequantizeLinear"] == 0


@pytest.mark.parametrize("preset", ["int8-weights", "int4-weights"])
@pytest.mark.parametrize("name", ["alpha-beta-transB", "shared-identity", "vector-bias-1N"])
def test_nothing_is_dequantized_in_the_cases_of_the_field(name, preset, quantize_case):
    case = quantize_case(name, preset)
    assert optimised_operators(case.model.read_bytes())["DequantizeLinear"] == 0


@pytest.mark.parametrize("preset", ["int8", "int4"])
def test_clip_bounds_of_one_element_fuse(preset, quantize_case):
    case = quantize_case("clip-bounds-1", preset)
    operators = optimised_operators(case.model.read_bytes())
    assert (operators["QLinearConv"], operators["Clip"]) == (2, 0)
    assert case.summary["output_sqnr_db"] > {"int8": 34, "int4": 17}[preset]
