"""A large model, quantized layer by layer: the same codes as of a whole model, in a file beside the model."""

import csv
import hashlib
import json
import resource
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from quant import layerwise
from quant.errors import LargeModel
from quant.kernel import dispatch
from quant.outcome.artifacts import ARTIFACTS
from quant.outcome.report import Report
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.quant.onnx_text import proto_of
from tests.specs import UNTIMED

RNG = np.random.default_rng(0)
PLAIN = {"bias_correction": "none", "synthetic_inputs": "none"}
SPECS = [
    {"preset": "int8-weights", "weights": {"clipping": "minmax"}},
    {"preset": "int4-weights", "weights": {"clipping": "minmax"}},
    {"preset": "int8-weights", "weights": {"clipping": "minmax", "granularity": "tensor"}},
    {"preset": "int4-weights", "weights": {"clipping": "minmax", "granularity": "block", "block_size": 32}},
    {"preset": "int4-weights", "weights": {"clipping": "minmax", "granularity": "block", "block_size": 64}},
    {"preset": "int4-weights", "export": {"weight_storage": "direct"}},
    {"preset": "int4-weights", "weights": {"clipping": "support_region"}},
    {"preset": "codebook4", "activations": None},
    {"preset": "ternary", "activations": None},
    {"preset": "int4", "activations": {"mode": "dynamic"}},
]


@pytest.fixture
def model(tmp_path):
    """Every kind of layer, a weight that two layers share and 16-bit weights, all in a file beside the model."""
    nodes = [
        helper.make_node("Conv", ["x", "conv", "conv_bias"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "transposed"], ["t"]),
        helper.make_node("GlobalAveragePool", ["t"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "gemm", "gemm_bias"], ["g"], transB=1),
        helper.make_node("MatMul", ["g", "shared"], ["m"]),
        helper.make_node("MatMul", ["m", "shared"], ["n"]),
        helper.make_node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["n", "wide"], ["h"]),
        helper.make_node("Gather", ["table", "ids"], ["e"]),
        helper.make_node("Add", ["h", "e"], ["y"]),
    ]
    shapes = {
        "conv": (16, 3, 3, 3), "conv_bias": (16,), "transposed": (16, 24, 2, 2), "gemm": (96, 24), "gemm_bias": (96,),
        "shared": (96, 96), "half": (96, 640), "table": (50, 640),
    }  # fmt: skip
    weights = {name: RNG.standard_t(4, shape).astype(np.float32) for name, shape in shapes.items()}
    weights["half"] = weights["half"].astype(np.float16)
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8]),
         helper.make_tensor_value_info("ids", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 640])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "float.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


@pytest.fixture
def feeds():
    return {"x": RNG.normal(size=(4, 3, 8, 8)).astype(np.float32), "ids": np.array([0, 3, 7, 49])}


@pytest.fixture
def quantize(tmp_path, monkeypatch):
    """Quantize a model as a whole or layer by layer; return the folder of its artifacts."""

    def run(model, spec, *, large, **data):
        monkeypatch.setattr(layerwise, "MAX_WHOLE_BYTES", 0 if large else 1 << 40)
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        quantize_model(Inputs(model, "m.onnx", {**UNTIMED, **spec}, **data), out, lambda *_: None)
        return out

    return run


def constants(path):
    """Return every initializer by its name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("compiled", [False, True], ids=["numpy", "loops"])
@pytest.mark.parametrize(
    "spec", SPECS, ids=lambda spec: "-".join(map(str, (spec["preset"], *spec.get("weights", {}).values())))
)
def test_codes_and_outputs_equal_those_of_a_whole_model(quantize, model, feeds, spec, compiled, monkeypatch):
    monkeypatch.setattr(dispatch, "pay", lambda *_: compiled)
    monkeypatch.setattr("quant.weights.chunked.WEIGHTS_AT_ONCE", 1 << 10)  # several parts a weight
    whole, parts = (quantize(model, PLAIN | spec, large=large) for large in (False, True))
    expected, actual = (constants(out / "model.onnx") for out in (whole, parts))
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (array.dtype, array.shape)
        if array.dtype == np.float32:  # a fit's sums may be of other parts
            np.testing.assert_allclose(actual[name], array, rtol=1e-6)
        else:
            np.testing.assert_array_equal(actual[name], array)
    outputs = [Session(out / "model.onnx").run(feeds)[0] for out in (whole, parts)]
    np.testing.assert_allclose(*outputs, atol=1e-5 * np.abs(outputs[0]).max())


def test_both_weights_of_an_lstm_are_computed_in_integers(quantize, tmp_path, monkeypatch):
    monkeypatch.setattr("quant.weights.storage_form.MIN_DYNAMIC_SIZE", 0)
    text = "net (float[S, B, 20] x) => (float[S, 1, B, 24] y) { y = LSTM <hidden_size=24> (x, w, r) }"
    arrays = {"w": RNG.normal(size=(1, 96, 20)) / 4, "r": RNG.normal(size=(1, 96, 24)) / 5}
    (tmp_path / "lstm.onnx").write_bytes(proto_of(text, **arrays))
    out = quantize(tmp_path / "lstm.onnx", {"activations": {"mode": "dynamic"}}, large=True)
    layers = json.loads((out / "report.json").read_text())["layers"]
    assert [layer["activations"] for layer in layers] == ["dynamic"] * 2
    x = RNG.normal(size=(9, 3, 20)).astype(np.float32)
    expected, actual = (Session(path).run({"x": x})[0] for path in (tmp_path / "lstm.onnx", out / "model.onnx"))
    np.testing.assert_allclose(actual, expected, atol=0.05)


def test_every_large_tensor_is_stored_beside_the_model_at_a_page_boundary(quantize, model):
    out = quantize(model, {"preset": "int4-weights"}, large=True)
    proto = onnx.load(out / "model.onnx", load_external_data=False)
    outside = [
        external_data_helper.ExternalDataInfo(tensor) for tensor in proto.graph.initializer if tensor.external_data
    ]
    assert {info.location for info in outside} == {"model.onnx.data"}
    assert len(outside) >= 5
    assert all(info.offset % 4096 == 0 for info in outside)
    assert all(len(tensor.raw_data) <= 1024 for tensor in proto.graph.initializer)
    onnx.checker.check_model(out / "model.onnx")


def test_the_manifest_and_the_report_count_both_files(quantize, model):
    out = quantize(model, {"preset": "int8-weights", "gates": {"max_size_ratio": 0.5}}, large=True)
    listed = {file["name"]: file for file in json.loads((out / "manifest.json").read_text())["artifacts"]}
    data = (out / "model.onnx.data").read_bytes()
    assert listed["model.onnx.data"]["sha256"] == hashlib.sha256(data).hexdigest()
    report = json.loads((out / "report.json").read_text())
    assert report["summary"]["bytes_after"] == len(data) + (out / "model.onnx").stat().st_size
    assert report["summary"]["quantized_layers"] == 7
    assert report["layers"][0]["fits"][0]["channel"] is None
    assert "not run by ONNX Runtime" in report["warnings"][0]


@pytest.mark.parametrize("clipping", ["minmax", "mse"])
def test_the_report_keeps_its_schema_and_says_what_is_missing(quantize, model, clipping):
    spec = {"preset": "int4-weights", "weights": {"clipping": clipping}}
    report = Report.model_validate_json((quantize(model, spec, large=True) / "report.json").read_bytes())
    assert report.diagnosis.cause == "weights_only"
    for layer in report.layers:
        assert (layer.picture is None) == (layer.picture_reason is not None)
        assert (layer.channels is None) == (layer.channels_reason is not None)
        assert [change.change for change in layer.alternatives][:1] == ["8 bits" if layer.bits == 4 else "5 bits"]
        assert layer.error_share_reason


def test_every_artifact_is_written_with_all_layers_in_its_exports(quantize, model):
    out = quantize(model, {"preset": "int8-weights"}, large=True)
    assert {path.name for path in out.iterdir()} == {kind.name for kind in ARTIFACTS}
    names = [layer["name"] for layer in json.loads((out / "report.json").read_text())["layers"]]
    assert list(json.loads((out / "model_explorer.json").read_text())["results"]) == names
    lines = csv.DictReader((out / "layers.csv").read_text().splitlines())
    assert [line["name"] for line in lines] == names


def test_the_report_of_a_weight_equals_that_of_a_whole_model(quantize, model):
    spec = PLAIN | {"preset": "int4-weights", "weights": {"clipping": "mse"}}
    whole, parts = (
        json.loads((quantize(model, spec, large=large) / "report.json").read_text()) for large in (False, True)
    )
    for expected, actual in zip(whole["layers"], parts["layers"], strict=True):
        for key in ("name", "bits", "clipping", "granularity", "bytes_after"):
            assert actual[key] == expected[key]
        for key, value in expected["weight"].items():
            assert actual["weight"][key] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)
        assert actual["clip_ratio"] == pytest.approx(expected["clip_ratio"])
    assert parts["summary"]["weight_sqnr_db"] == pytest.approx(whole["summary"]["weight_sqnr_db"])


def test_equal_input_gives_equal_bytes(quantize, model):
    first, second = (quantize(model, {"preset": "int4-weights"}, large=True) for _ in range(2))
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in second.iterdir()
    }


def test_both_models_run_on_evaluation_data(quantize, model, feeds, tmp_path):
    np.savez(tmp_path / "e.npz", **feeds)
    spec = PLAIN | {"preset": "int8-weights", "gates": {"min_output_sqnr_db": 20}}
    whole, parts = (
        json.loads((quantize(model, spec, large=large, evaluation=tmp_path / "e.npz") / "report.json").read_text())
        for large in (False, True)
    )
    assert parts["summary"]["output_sqnr_db"] == pytest.approx(whole["summary"]["output_sqnr_db"], rel=0.01)
    assert parts["samples"] == whole["samples"]
    assert not any("not run" in warning for warning in parts["warnings"])


def test_weights_that_stay_in_float_are_copied(quantize, model, feeds):
    spec = {"preset": "int8-weights", "layers": [{"match": {"op": "MatMul"}, "skip": True}]}
    out = quantize(model, spec, large=True)
    np.testing.assert_array_equal(*(constants(path)["shared"] for path in (out / "model.onnx", model)))
    assert Session(out / "model.onnx").run(feeds)[0].shape == (4, 640)


def test_bfloat16_weights_are_converted_to_float32(quantize, tmp_path):
    array = RNG.normal(size=(64, 48)).astype(ml_dtypes.bfloat16)
    weight = helper.make_tensor("w", TensorProto.BFLOAT16, array.shape, array.tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.BFLOAT16, ["N", 48])], [weight],
    )  # fmt: skip
    path = tmp_path / "half.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    out = quantize(path, {"preset": "int8-weights"}, large=True)
    x = RNG.normal(size=(3, 64)).astype(np.float32)
    expected = x @ array.astype(np.float32)
    (actual,) = Session(out / "model.onnx").run({"x": x})
    assert np.abs(actual - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("spec", [{"preset": "int8"}, {"preset": "int4-weights", "budget": {"max_size_ratio": 0.2}}])
def test_a_job_that_needs_the_whole_model_is_refused_above_one_message(quantize, model, tmp_path, spec, monkeypatch):
    monkeypatch.setattr(layerwise, "MAX_MESSAGE_BYTES", 10_000)
    np.savez(tmp_path / "c.npz", x=np.zeros((4, 3, 8, 8), np.float32), ids=np.zeros(4, np.int64))
    data = {"calibration": tmp_path / "c.npz"} if spec["preset"] == "int8" else {}
    with pytest.raises(LargeModel, match=r"at most 10000 bytes.*accepted: a \*-weights preset without calibration"):
        quantize(model, spec, large=True, **data)


def test_a_memory_limit_lowers_the_size_of_a_whole_model(monkeypatch):
    limits = []
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()  # of the process of the tests
    small = used + (2 << 30)
    for limit in (resource.RLIM_INFINITY, 64 << 30, small, 1 << 28):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        limits.append(layerwise.max_whole_bytes([]))
    assert limits[0] == limits[1] == layerwise.MAX_WHOLE_BYTES
    assert layerwise.MIN_WHOLE_BYTES == limits[3] < limits[2] < small // layerwise.MEMORY_FACTOR
    assert layerwise.max_whole_bytes(["calibration data is given"]) == layerwise.MAX_MESSAGE_BYTES
