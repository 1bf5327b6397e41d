"""The pipeline on whole models: its artifacts, the kernels that they run on, and their accuracy."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from quant.errors import DataRequired, ModelError, NothingToQuantize
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session, optimised_operators
from tests.specs import UNTIMED

RNG = np.random.default_rng(0)


@pytest.fixture
def quantize(tmp_path, examples):
    """Quantize a model; return its outcome, the exported bytes and the report."""

    def run(spec, model=None, calibration=examples / "digits_calibration.npz", evaluation=None):
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        inputs = Inputs(model or examples / "digits.onnx", "m.onnx", {**UNTIMED, **spec}, calibration, evaluation)
        outcome = quantize_model(inputs, out, lambda *_: None)
        return outcome, (out / "model.onnx").read_bytes(), json.loads((out / "report.json").read_text())

    return run


@pytest.mark.parametrize("preset", ["int8", "int4"])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("clipping", ["minmax", "mae", "mse"])
def test_every_layer_becomes_an_integer_kernel(quantize, preset, granularity, clipping):
    weights = {"granularity": granularity, "clipping": clipping}
    _, model, report = quantize({"preset": preset, "weights": weights, "report": "weights"})
    operators = optimised_operators(model)
    assert (operators["QLinearConv"], operators["QGemm"]) == (5, 2)
    assert operators["Conv"] == operators["Gemm"] == operators["DequantizeLinear(weight)"] == 0
    assert report["warnings"] == []


@pytest.mark.parametrize(("storage", "nodes"), [("fast", {"Cast"}), ("direct", set())])
def test_4_bit_weights_are_packed_in_raw_data(quantize, storage, nodes):
    _, data, _ = quantize({"preset": "int4", "export": {"weight_storage": storage}})
    model = onnx.load_model_from_string(data)
    packed = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT4]
    codes = [tensor for tensor in packed if len(tensor.dims) > 1]
    assert len(codes) == 7
    for tensor in codes:
        assert len(tensor.raw_data) == -(-int(np.prod(tensor.dims)) // 2)
        assert not tensor.int32_data
    assert {node.op_type for node in model.graph.node} & {"Cast"} == nodes
    assert (model.ir_version, model.opset_import[0].version) == (10, 21)


def test_fast_and_direct_give_the_same_outputs(quantize):
    image = {"input": RNG.random((4, 1, 8, 8), np.float32)}
    outputs = [
        Session(quantize({"preset": "int4-weights", "export": {"weight_storage": storage}})[1]).run(image)[0]
        for storage in ("fast", "direct")
    ]
    # MatMulNBits rounds its input to 8 bits a block (ONNX Runtime's default accuracy level)
    np.testing.assert_allclose(*outputs, atol=0.02 * np.abs(outputs[0]).max())


def test_the_exported_model_agrees_with_the_standards_reference(quantize, examples):
    _, data, _ = quantize({"preset": "int8"})
    images = np.load(examples / "digits_evaluation.npz")["input"][:16]
    (reference,) = ReferenceEvaluator(onnx.load_model_from_string(data)).run(None, {"input": images})
    (actual,) = Session(data).run({"input": images})
    assert (reference.argmax(1) == actual.argmax(1)).all()
    assert np.abs(reference - actual).max() < 0.05 * np.abs(reference).max()


def test_equal_input_gives_equal_bytes(tmp_path, examples):
    folders = []
    for number in range(2):
        out = tmp_path / str(number)
        out.mkdir()
        inputs = Inputs(
            examples / "digits.onnx", "m", {"preset": "int4"},
            examples / "digits_calibration.npz", examples / "digits_evaluation.npz",
        )  # fmt: skip
        quantize_model(inputs, out, lambda *_: None)
        folders.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert folders[0] == folders[1]
    assert len(folders[0]) == 9


def test_the_report_of_a_weight_matches_the_exported_weight(quantize, examples):
    _, data, report = quantize({"preset": "int4"})
    exported = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(data).graph.initializer}
    original = {t.name: numpy_helper.to_array(t) for t in onnx.load(examples / "digits.onnx").graph.initializer}
    gemm = next(layer for layer in report["layers"] if layer["name"] == "/classifier/Gemm")
    codes, scale = exported["classifier.weight_codes"], exported["classifier.weight_scale"]
    error = codes.astype(np.float64) * scale[:, None] - original["classifier.weight"]
    assert gemm["weight"]["mae"] == pytest.approx(np.abs(error).mean())
    assert gemm["weight"]["mse"] == pytest.approx((error**2).mean())
    assert gemm["bytes_after"] == codes.size // 2 + scale.nbytes
    assert scale.dtype == np.float32
    assert np.abs(codes.astype(int)).max() == 7


def test_layer_rules_skip_and_change_layers(quantize):
    spec = {"layers": [{"match": "/stem/*", "skip": True}, {"match": {"op": "Gemm"}, "weights": {"bits": 4}}]}
    outcome, _, report = quantize({"preset": "int8", **spec})
    assert (outcome.summary.layers, outcome.summary.quantized_layers) == (7, 6)
    assert [skipped["name"] for skipped in report["skipped"]] == ["/stem/stem.0/Conv"]
    assert {layer["op"]: layer["bits"] for layer in report["layers"]} == {"Conv": 8, "Gemm": 4}


def test_skipping_everything_is_refused(quantize):
    with pytest.raises(NothingToQuantize, match="a layer rule"):
        quantize({"layers": [{"match": "*", "skip": True}]})


def test_activations_without_calibration_are_refused(quantize):
    with pytest.raises(DataRequired, match="calibration"):
        quantize({"preset": "int8"}, calibration=None)


def test_a_bias_that_is_large_beside_its_weights_fits_int32(quantize, tmp_path):
    weight = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)
    weight[1] *= 1e-12  # a dead channel, as BatchNorm folding leaves them
    weight[2] = 0
    path = save(
        tmp_path, [helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv")],
        {"w": weight, "b": np.array([0.5, 2.0, -3.0, 0.0], np.float32)}, ["N", 3, 8, 8],
    )  # fmt: skip
    images = RNG.normal(size=(32, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "c.npz", x=images)
    outcome, data, report = quantize({"preset": "int8"}, path, tmp_path / "c.npz", tmp_path / "c.npz")
    assert outcome.summary.output_sqnr_db > 30
    assert any("bias fits int32" in note for note in report["layers"][0]["notes"])
    assert optimised_operators(data)["QLinearConv"] == 1


@pytest.mark.parametrize("op", ["ConvTranspose", "MatMul", "LeftMatMul", "SharedGemm"])
@pytest.mark.parametrize("preset", ["int8", "int4", "int4-weights"])
def test_every_kind_of_layer_runs_close_to_float(quantize, tmp_path, op, preset):
    if op == "ConvTranspose":
        nodes = [helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], group=2)]
        weights, shape = {"w": normal(4, 3, 3, 3), "b": normal(6)}, ["N", 4, 8, 8]
    elif op == "MatMul":
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        weights, shape = {"w": normal(16, 12)}, ["N", 5, 16]
    elif op == "LeftMatMul":
        nodes = [helper.make_node("MatMul", ["w", "x"], ["y"])]
        weights, shape = {"w": normal(12, 16)}, ["N", 16, 5]
    else:
        nodes = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Gemm", ["h", "w"], ["y"])]
        weights, shape = {"w": normal(16, 16)}, ["N", 16]
    path = save(tmp_path, nodes, weights, shape)
    np.savez(tmp_path / "c.npz", x=RNG.normal(size=[40, *shape[1:]]).astype(np.float32))
    outcome, _, _ = quantize({"preset": preset}, path, tmp_path / "c.npz", tmp_path / "c.npz")
    assert outcome.summary.output_sqnr_db > (30 if preset == "int8" else 12)


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["resnet8_mlperftiny", "vww_mobilenetv1_025", "vit_mnist", "mobilenetv1_075_imagenet", "resnet56_cifar10"]
)
@pytest.mark.parametrize("preset", ["int8-weights", "int4-weights"])
def test_real_models_go_through_data_free(quantize, data, name, preset):
    outcome, model, report = quantize({"preset": preset}, data / "models" / f"{name}.onnx", None)
    assert outcome.summary.quantized_layers == len(report["layers"]) >= 10
    assert outcome.summary.size_ratio < (0.36 if preset == "int8-weights" else 0.24)
    assert all(layer["weight"]["mae_expected"] > 0 for layer in report["layers"])
    Session(model)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def save(folder, nodes, weights, shape):
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_calibration_data_on_which_the_model_overflows_is_refused(quantize, tmp_path, examples):
    with np.load(examples / "digits_calibration.npz") as arrays:
        (name,) = set(arrays) - {"labels"}
        values = arrays[name].astype(np.float32)
    values[3], values[5] = 3.4e38, -3.4e38
    np.savez(tmp_path / "huge.npz", **{name: values})
    with pytest.raises(ModelError, match="NaN or infinite on the calibration data"):
        quantize({"preset": "int8"}, calibration=tmp_path / "huge.npz")


def test_a_report_on_weights_only_leaves_out_the_measurements_at_outputs(quantize):
    _, model, full = quantize({"preset": "int4"})
    _, same, short = quantize({"preset": "int4", "report": "weights"})
    graphs = [onnx.load_model_from_string(data).graph for data in (model, same)]
    assert graphs[0] == graphs[1]
    assert all(layer["output"]["sqnr_db"] > 0 and layer["bound"] for layer in full["layers"])
    assert all(layer["output"] is layer["bound"] is None for layer in short["layers"])
    assert "weights alone" in short["error_bound"]["reason"]
    assert short["total_mean_shift"]["after"] is None
    assert short["total_mean_shift"]["reason"] == "the spec asks for a report on the weights alone"
    assert all(layer["error_share"] is not None for layer in full["layers"])
    assert all(layer["error_share"] is None for layer in short["layers"])
    for layer in (*full["layers"], *short["layers"]):
        del layer["output"], layer["output_reason"], layer["bound"]
        del layer["error_share"], layer["error_share_standard_error"], layer["error_share_reason"]
        for change in layer["alternatives"]:
            del change["output_gain_db"]
    assert short["layers"] == full["layers"]
    assert short["compared"] == full["compared"]
