"""Storage of weights: the bytes in the file, and the kernels that ONNX Runtime runs them with."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from quant.evaluation.sqnr import sqnr_db
from quant.runtime import Session, optimised_operators
from tests.quant.export.models import float_only, normal, save
from tests.specs import QUICK, QUICK_WEIGHTS

RNG = np.random.default_rng(1)
CODEBOOKS = [("lloyd_max", 4), ("lloyd_max", 3), ("lloyd_max", 2), ("kmeans", 4), ("kmeans", 3), ("apot", 4)]
TERNARY = ["ternary_tquant", "ternary_mquant", "ternary_twn", "ternary_optimal"]


@pytest.mark.parametrize(("granularity", "opset"), [("channel", 21), ("tensor", 25)])
@pytest.mark.parametrize(("grid", "bits"), [*CODEBOOKS, *((name, 2) for name in TERNARY)])
def test_codebooks_and_ternary_weights_run_on_the_int8_kernels(quantize, grid, bits, granularity, opset):
    weights = {"grid": grid, "bits": bits, "granularity": granularity, **QUICK_WEIGHTS}
    spec = {"preset": "codebook4", "weights": weights, "export": {"opset": opset}, "bias_correction": "none"}
    data, report = quantize(spec)
    operators = optimised_operators(data)
    assert (operators["QLinearConv"], operators["QGemm"]) == (5, 2)
    assert operators["DequantizeLinear(weight)"] == 0
    assert report["warnings"] == []


@pytest.mark.parametrize(("opset", "bits", "kind"), [(21, 4, TensorProto.INT4), (25, 2, TensorProto.INT2)])
def test_ternary_codes_take_two_bits_from_opset_25(quantize, opset, bits, kind):
    data, report = quantize({"preset": "ternary", "export": {"opset": opset}})
    model = onnx.load_model_from_string(data)
    codes = [tensor for tensor in model.graph.initializer if tensor.data_type == kind and len(tensor.dims) > 1]
    assert len(codes) == 7
    for tensor in codes:
        assert len(tensor.raw_data) == -(-int(np.prod(tensor.dims)) * bits // 8)
    for layer in report["layers"]:
        assert layer["bytes_after"] == -(-layer["parameters"] * bits // 8) + 4 * layer["weight_shape"][0]
    assert model.opset_import[0].version == opset


PARTS = {3: (2, 1), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}


@pytest.mark.parametrize(("preset", "bits"), [("int8", 3), ("int8", 5), ("int8", 7), ("int8-weights", 6)])
def test_codes_of_odd_widths_are_stored_in_parts_and_put_together_at_load(quantize, preset, bits):
    spec = {"preset": preset, "weights": {"bits": bits, "clipping": "minmax"}, "bias_correction": "none",
            "keep_float": "none", "layers": [{"match": {"op": "Gemm"}, "weights": {"bits": 8}}]}  # fmt: skip
    data, report = quantize({**spec, "export": {"opset": 25}})
    plain, _ = quantize({**spec, "export": {"opset": 25, "weight_storage": "direct"}})  # stored in 4 or 8 bits
    operators = optimised_operators(data)
    assert operators["QLinearConv"] == (5 if preset == "int8" else 0)
    assert operators["DequantizeLinear(weight)"] == operators["Cast"] == operators["BitShift"] == 0
    image = {"input": RNG.random((8, 1, 8, 8), np.float32)}
    assert sqnr_of(Session(plain).run(image)[0], Session(data).run(image)[0]) > 30
    for layer in (entry for entry in report["layers"] if entry["op"] == "Conv"):
        size = layer["parameters"]
        assert layer["bytes_after"] == sum(-(-size * part // 8) for part in PARTS[bits]) + 4 * layer["weight_shape"][0]


@pytest.mark.parametrize(("bits", "stored"), [(3, 4), (5, 5), (7, 8)])
def test_the_types_of_opset_21_hold_no_parts_of_two_bits(quantize, bits, stored):
    weights = {"bits": bits, **QUICK_WEIGHTS}
    _, report = quantize({**QUICK, "weights": weights, "keep_float": "none"})
    for layer in (entry for entry in report["layers"] if entry["op"] == "Conv"):
        size = layer["parameters"]
        codes = -(-size // 2) + -(-size // 8) if stored == 5 else -(-size * stored // 8)
        note = f"codes of {bits} bits are stored in {stored}: export.opset 25 has types that store them in {bits}"
        assert (note in layer["notes"]) == (stored != bits)
        assert layer["bytes_after"] == codes + 4 * layer["weight_shape"][0]


@pytest.mark.parametrize(
    ("preset", "bits", "opset"), [("int8", 2, 25), ("int8", 3, 25), ("int8", 2, 21), ("int8-weights", 2, 25)]
)
def test_mid_rise_codes_take_their_bits_and_run_on_the_int8_kernels(quantize, preset, bits, opset):
    spec = {"preset": preset, "weights": {"bits": bits, "grid": "mid_rise", **QUICK_WEIGHTS}, "bias_correction": "none"}
    data, report = quantize({**spec, "export": {"opset": opset}, "keep_float": "none"})
    operators = optimised_operators(data)
    assert (operators["QLinearConv"], operators["QGemm"]) == ((5, 2) if preset == "int8" else (0, 0))
    assert operators["DequantizeLinear(weight)"] == operators["Cast"] == 0
    parts = PARTS.get(bits, (bits,)) if opset == 25 else (4,)
    for layer in report["layers"]:
        codes = sum(-(-layer["parameters"] * part // 8) for part in parts)
        assert layer["bytes_after"] == codes + 4 * layer["weight_shape"][0] + 2**bits  # the table of odd integers


@pytest.mark.parametrize(
    ("preset", "tables", "bits"), [("int8", "layer", 3), ("int8", 4, 5), ("int8-weights", "layer", 2), ("int8", 3, 2)]
)
def test_tables_that_rows_share_are_stored_once_and_run_on_the_int8_kernels(quantize, preset, tables, bits):
    weights = {"bits": bits, "grid": {"name": "kmeans", "tables": tables}, **QUICK_WEIGHTS}
    spec = {"preset": preset, "weights": weights, "export": {"opset": 25}, "bias_correction": "none"}
    data, report = quantize({**spec, "keep_float": "none"})
    operators = optimised_operators(data)
    assert (operators["QLinearConv"], operators["QGemm"]) == ((5, 2) if preset == "int8" else (0, 0))
    assert operators["DequantizeLinear(weight)"] == operators["Cast"] == operators["GatherElements"] == 0
    for layer in report["layers"]:
        size, rows = layer["parameters"], layer["weight_shape"][0]
        shared = rows if tables == "layer" else max(number for number in range(1, tables + 1) if rows % number == 0)
        entries = rows // shared * 2**bits * (4 if shared == 1 and preset == "int8-weights" else 1)
        scales = 0 if shared == 1 and preset == "int8-weights" else 4 * rows
        codes = sum(-(-size * part // 8) for part in PARTS.get(bits, (bits,)))
        assert layer["bytes_after"] == codes + entries + scales


def sqnr_of(expected, values):
    return sqnr_db(float((expected**2).sum()), float(((expected - values) ** 2).sum()))


@pytest.mark.parametrize("preset", ["int8-weights", "int4-weights", "codebook4", "ternary"])
def test_weight_only_convolutions_are_computed_as_in_float(quantize, preset):
    spec = {"preset": preset, "activations": None, "layers": [{"match": {"op": "Gemm"}, "skip": True}]}
    operators = optimised_operators(quantize(spec)[0])
    assert operators["Conv"] + operators["FusedConv"] == 5
    assert not {"DequantizeLinear", "Mul", "Cast", "Gather", "GatherElements"} & set(+operators)


@pytest.mark.parametrize("preset", ["int8-weights", "int4-weights", "codebook4", "ternary"])
@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN", "Gather", "ConvTranspose", "LeftMatMul", "If"])
def test_weights_without_an_integer_kernel_are_stored_in_few_bits(quantize, tmp_path, op, preset):
    nodes, weights, shape = float_only(op)
    path = save(tmp_path, nodes, weights, shape, TensorProto.INT64 if op == "Gather" else TensorProto.FLOAT)
    data, report = quantize({"preset": preset, "activations": None}, path)
    sqnr = [layer["weight"]["sqnr_db"] for layer in report["layers"]]
    assert len(sqnr) == (2 if op in ("LSTM", "GRU", "RNN") else 1)
    assert min(sqnr) > (3 if preset == "ternary" else 10)
    assert optimised_operators(data)["DequantizeLinear"] == 0
    feeds = {"x": RNG.integers(0, 60, [4, 3])} if op == "Gather" else {"x": normal(*shape)}
    expected, actual = (Session(model).run(feeds)[0] for model in (path.read_bytes(), data))
    assert sqnr_db(float((expected**2).sum()), float(((actual - expected) ** 2).sum())) > 2
    assert len(data) < path.stat().st_size
