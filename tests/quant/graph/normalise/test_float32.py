"""FP16 and BF16 models compute in FP32, and FP16 inputs and outputs stay."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.load.source import open_model
from quant.graph.normalise.normalise import normalise
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.quant.graph.models import layers_of, model_of, run, tensor

RNG = np.random.default_rng(0)
HALVES = pytest.mark.parametrize("half", [TensorProto.FLOAT16, TensorProto.BFLOAT16], ids=["fp16", "bf16"])


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def half_model(half, opset=22):
    """Conv, BatchNormalization, Relu, a Cast to FP32 and back, Gemm; inputs and outputs in the half, too."""
    weights = {
        "w": normal(4, 3, 3, 3) / 5, "g": np.abs(normal(4)) + 0.5, "s": normal(4), "m": normal(4),
        "v": np.abs(normal(4)) + 0.5, "k": normal(4, 5) / 2, "b": normal(5),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "g", "s", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Cast", ["r"], ["r32"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["r32"], ["p32"]),
        helper.make_node("Cast", ["p32"], ["p"], to=half),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "k", "b"], ["y"]),
    ]
    return model_of(
        nodes, [tensor(name, array, half) for name, array in weights.items()],
        {"x": (half, ["N", 3, 8, 8])}, {"y": (half, ["N", 5])}, opset, ir_version=10,
    )  # fmt: skip


@HALVES
def test_halves_are_computed_in_fp32(half):
    model = normalise(load(half_model(half)), 22)
    assert [node.op_type for node in model.graph if node.op_type != "Cast"] == [
        "Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    kinds = {value.dtype for value in model.graph.initializers.values()}
    assert kinds == {ir.DataType.FLOAT}
    ends = [model.graph.inputs[0].dtype, model.graph.outputs[0].dtype]
    is_fp16 = half == TensorProto.FLOAT16
    assert ends == [ir.DataType.FLOAT16 if is_fp16 else ir.DataType.FLOAT] * 2
    assert sum(node.op_type == "Cast" for node in model.graph) == (2 if is_fp16 else 0)
    assert len(layers_of(half_model(half))) == 2


def test_fp16_keeps_its_inputs_and_outputs_and_its_values():
    data = half_model(TensorProto.FLOAT16)
    x = {"x": RNG.normal(size=(3, 3, 8, 8)).astype(np.float16)}
    (expected,), (actual,) = run(data, x), run(normalise(load(data), 22), x)
    assert actual.dtype == np.float16
    np.testing.assert_allclose(expected, actual, atol=1e-2 * float(np.abs(expected).max()))


def test_the_float_reference_of_bf16_is_the_same_model_in_fp32(tmp_path):
    data = half_model(TensorProto.BFLOAT16)
    (tmp_path / "m.onnx").write_bytes(data)
    source = open_model(tmp_path / "m.onnx", tmp_path)
    x = normal(3, 3, 8, 8)
    weights = {
        t.name: numpy_helper.to_array(t).astype(np.float32) for t in onnx.load(tmp_path / "m.onnx").graph.initializer
    }
    twin = onnx.load_model_from_string(half_model(TensorProto.FLOAT))
    for held in twin.graph.initializer:
        held.CopyFrom(numpy_helper.from_array(weights[held.name], held.name))
    np.testing.assert_allclose(
        Session(source.reference).run({"x": x})[0], run(twin.SerializeToString(), {"x": x})[0], rtol=1e-4, atol=1e-5
    )
    assert source.size == len(data)


@HALVES
@pytest.mark.parametrize("preset", ["int8", "int4-weights"])
def test_halves_go_the_whole_way(tmp_path, half, preset):
    (tmp_path / "m.onnx").write_bytes(half_model(half, 22))
    dtype = np.float16 if half == TensorProto.FLOAT16 else np.float32
    np.savez(tmp_path / "c.npz", x=RNG.normal(size=(24, 3, 8, 8)).astype(dtype))
    (tmp_path / "out").mkdir()
    inputs = Inputs(tmp_path / "m.onnx", "m", {"preset": preset}, tmp_path / "c.npz", tmp_path / "c.npz")
    outcome = quantize_model(inputs, tmp_path / "out", lambda *_: None)
    assert outcome.summary.quantized_layers == 2
    assert outcome.summary.output_sqnr_db > (25 if preset == "int8" else 10)


@pytest.mark.data
def test_a_real_fp16_model_with_branches_stays_what_it_is(data):
    path = data / "coverage" / "silero_vad_half.onnx"
    model = normalise(load(path))
    kinds = {value.dtype for graph in (model.graph, *model.graph.subgraphs()) for value in graph.initializers.values()}
    assert ir.DataType.FLOAT16 not in kinds
    layers, _ = inventory(model)
    assert len(layers) >= 6
    feeds = {"input": normal(2, 512), "state": normal(2, 2, 128)}
    for expected, actual in zip(Session(path).run(feeds), run(model, feeds), strict=True):
        assert np.abs(expected - actual).max() < 1e-2 * max(1.0, float(np.abs(expected).max()))
