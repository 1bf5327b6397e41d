"""Storage forms: the bytes that they take in the file, and the kernels that ONNX Runtime runs them with."""

import json

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from quant.errors import SpecError
from quant.evaluation.metrics import sqnr_db
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators
from quant.spec import resolve

RNG = np.random.default_rng(1)
CODEBOOKS = [("lloyd_max", 4), ("lloyd_max", 3), ("lloyd_max", 2), ("kmeans", 4), ("kmeans", 3), ("apot", 4)]
TERNARY = ["ternary_tquant", "ternary_mquant", "ternary_twn", "ternary_optimal"]


@pytest.fixture
def quantize(tmp_path, examples):
    """Quantize a model, the digits by default: the exported bytes, the report and the float model's path."""

    def run(spec, model=None, calibration=None):
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        path = model or examples / "digits.onnx"
        calibration = calibration or (None if model else examples / "digits_calibration.npz")
        quantize_model(Inputs(path, "m.onnx", spec, calibration), out, lambda *_: None)
        return (out / "model.onnx").read_bytes(), json.loads((out / "report.json").read_text())

    return run


@pytest.mark.parametrize("opset", [21, 25])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize(("grid", "bits"), [*CODEBOOKS, *((name, 2) for name in TERNARY)])
def test_codebooks_and_ternary_weights_run_on_the_int8_kernels(quantize, grid, bits, granularity, opset):
    weights = {"grid": grid, "bits": bits, "granularity": granularity}
    data, report = quantize({"preset": "codebook4", "weights": weights, "export": {"opset": opset}})
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


@pytest.mark.parametrize("granularity", ["channel", "block"])
@pytest.mark.parametrize(("bits", "opset"), [(8, 21), (4, 21), (2, 25)])
@pytest.mark.parametrize("op", ["MatMul", "Gemm", "GemmTransB", "ReluGemm", "ClipMatMul", "MatMulAdd"])
def test_weight_only_matrices_run_as_matmul_nbits(quantize, tmp_path, op, bits, opset, granularity):
    path = save(tmp_path, *matrices(op))
    weights = {"bits": bits, "granularity": granularity, "block_size": 16}
    data, report = quantize({"preset": "int8-weights", "weights": weights, "export": {"opset": opset}}, path)
    operators = optimised_operators(data)
    assert operators["MatMulNBits"] == 1
    assert operators["DequantizeLinear"] == operators["Gemm"] == 0
    assert report["layers"][0]["block_size"] == (16 if granularity == "block" else None)
    assert agreement(path, data, [4, 40]) > {8: 30, 4: 12, 2: 0}[bits]
    assert [node.name for node in Session(data)._session.get_outputs()] == ["y"]


@pytest.mark.parametrize("preset", ["int8", "int8-weights"])
def test_six_bits_are_stored_as_four_and_two_and_put_together_at_load(quantize, preset):
    spec = {"preset": preset, "weights": {"bits": 6, "clipping": "minmax"}, "bias_correction": "none",
            "layers": [{"match": {"op": "Gemm"}, "weights": {"bits": 8}}]}  # fmt: skip
    data, report = quantize({**spec, "export": {"opset": 25}})
    plain, _ = quantize(spec)  # opset 21 has no two bits: six are stored in eight
    operators = optimised_operators(data)
    assert operators == optimised_operators(plain)
    assert operators["QLinearConv"] == (5 if preset == "int8" else 0)
    assert operators["DequantizeLinear(weight)"] == operators["Cast"] == 0
    image = {"input": RNG.random((8, 1, 8, 8), np.float32)}
    np.testing.assert_array_equal(Session(data).run(image)[0], Session(plain).run(image)[0])
    for layer in (entry for entry in report["layers"] if entry["op"] == "Conv"):
        size = layer["parameters"]
        assert layer["bytes_after"] == -(-size // 2) + -(-size // 4) + 4 * layer["weight_shape"][0]
        assert layer["weight"]["sqnr_db"] > 28


@pytest.mark.parametrize("shape", [["N", 40], [2, 3, 40]])
def test_a_matmul_and_its_bias_run_as_one_integer_gemm(quantize, tmp_path, shape):
    nodes, weights, _ = matrices("MatMulAdd")
    path = save(tmp_path, nodes, weights, shape)
    samples = normal(*([16, 40] if len(shape) == 2 else [16, 2, 3, 40]))
    np.savez(tmp_path / "calibration.npz", x=samples)
    data, report = quantize({"preset": "int8"}, path, tmp_path / "calibration.npz")
    operators = optimised_operators(data)
    assert (operators["QGemm"], operators["DequantizeLinear"]) == (1, 0)
    assert report["warnings"] == []
    feeds = {"x": samples[:3] if len(shape) == 2 else samples[0]}
    expected, actual = (Session(model).run(feeds)[0] for model in (path.read_bytes(), data))
    assert sqnr_db(float((expected**2).sum()), float(((actual - expected) ** 2).sum())) > 35


def test_smaller_blocks_lose_less(quantize, tmp_path):
    path = save(tmp_path, *matrices("MatMul"))
    spec = {"preset": "int4-weights", "weights": {"granularity": "block", "clipping": "minmax"}}
    errors = [
        quantize({**spec, "weights": {**spec["weights"], "block_size": size}}, path)[1]["layers"][0]["weight"]["mse"]
        for size in (16, 32, 64, 128)
    ]
    assert errors == sorted(errors)


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


@pytest.mark.parametrize(
    "spec",
    [
        {"preset": "int8"},
        {"preset": "int4"},
        {"preset": "codebook4"},
        {"preset": "int4-weights"},
        {"preset": "int8", "export": {"profile": "generic"}},
    ],
)
def test_other_runtimes_agree(quantize, examples, spec):
    data, _ = quantize(spec)
    images = np.load(examples / "digits_evaluation.npz")["input"][:32]
    (actual,) = Session(data).run({"input": images})
    (reference,) = ReferenceEvaluator(onnx.load_model_from_string(data)).run(None, {"input": images})
    compiled = openvino.Core().compile_model(openvino.Core().read_model(data), "CPU")
    for other in (reference, compiled({"input": images})[0]):
        assert sqnr_db(float((actual**2).sum()), float(((other - actual) ** 2).sum())) > 25
        assert (other.argmax(1) == actual.argmax(1)).mean() > 0.95


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"bits": 3}, "3 bits are stored as a codebook"),
        ({"bits": 6, "grid": "lloyd_max"}, "6 bits are uniform"),
        ({"bits": 8, "grid": "kmeans"}, "kmeans has no 8-bit grid"),
        ({"bits": 4, "grid": "kmeans", "granularity": "block"}, "accepted with granularity block: uniform"),
        ({"granularity": "block"}, "granularity block is for weight-only models"),
    ],
)
def test_what_cannot_be_stored_is_refused(weights, message):
    with pytest.raises(SpecError, match=message):
        resolve({"preset": "int8", "weights": weights})


def test_a_layer_rule_that_does_not_fit_is_refused():
    rule = {"match": "*", "weights": {"bits": 8}}
    with pytest.raises(SpecError, match="kmeans has no 8-bit grid"):
        resolve({"weights": {"grid": "kmeans", "bits": 4}, "layers": [rule]})


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def matrices(op):
    """Nodes, weights and input shape of one matrix product, K = 40 being no multiple of a block."""
    weights = {"w": normal(40, 24)}
    if op == "MatMulAdd":
        nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
        weights["b"] = normal(1, 24)
    elif op in ("MatMul", "ClipMatMul"):
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    else:
        weights["b"] = normal(24)
        nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=int(op == "GemmTransB"))]
        weights["w"] = weights["w"].T.copy() if op == "GemmTransB" else weights["w"]
    if op in ("ReluGemm", "ClipMatMul"):
        nodes[0].input[0] = "r"
        first = ["Relu", ["x"]] if op == "ReluGemm" else ["Clip", ["x", "low", "high"]]
        weights |= {} if op == "ReluGemm" else {"low": np.float32(-1), "high": np.float32(1)}
        nodes.insert(0, helper.make_node(*first, ["r"]))
    return nodes, weights, ["N", 40]


def float_only(op):
    if op in ("LSTM", "GRU", "RNN"):
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
        weights = {"w": normal(1, gates * 32, 64) / 4, "r": normal(1, gates * 32, 32) / 4}
        return [helper.make_node(op, ["x", "w", "r"], ["", "y"], hidden_size=32)], weights, [5, 2, 64]
    if op == "Gather":
        return [helper.make_node("Gather", ["w", "x"], ["y"])], {"w": normal(60, 64)}, ["N", 3]
    if op == "ConvTranspose":
        node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=2)
        return [node], {"w": normal(16, 12, 3, 3)}, [1, 16, 5, 5]
    if op == "LeftMatMul":
        return [helper.make_node("MatMul", ["w", "x"], ["y"])], {"w": normal(48, 64)}, [64, 3]
    branches = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", f"w{name}"], [f"y{name}"])] if name == "then"
            else [helper.make_node("Identity", ["x"], [f"y{name}"])],
            name, [], [helper.make_tensor_value_info(f"y{name}", TensorProto.FLOAT, [3, 48])],
            [numpy_helper.from_array(normal(48, 48), f"w{name}")] if name == "then" else [],
        )
        for name in ("then", "else")
    ]  # fmt: skip
    node = helper.make_node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1])
    return [node], {"yes": np.array(True)}, [3, 48]


def save(folder, nodes, weights, shape, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )  # fmt: skip
    path = folder / "float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def agreement(path, data, shape):
    """Output SQNR in dB of the exported model on random input."""
    feeds = {"x": normal(*shape)}
    expected, actual = (Session(model).run(feeds)[0] for model in (path.read_bytes(), data))
    return sqnr_db(float((expected**2).sum()), float(((actual - expected) ** 2).sum()))
