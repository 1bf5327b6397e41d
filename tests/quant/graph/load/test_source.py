"""Every kind of upload becomes a float model, and is quantized."""

import json

import numpy as np
import onnx
import pytest

from quant.graph.load.onnx_file import load
from quant.graph.load.source import float_onnx, onnx_bytes
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.quant.graph.load.archives import EVERY_KIND, MODEL, WEIGHT, external_model, zipped

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated as a whole


@EVERY_KIND
def test_a_model_with_its_external_data_is_read_and_run(unpacked, pack):
    path = unpacked(pack([("folder/", b""), *MODEL] if pack is zipped else MODEL))
    model = load(path)
    np.testing.assert_array_equal(model.graph.initializers["w"].const_value.numpy(), WEIGHT)
    x = np.ones((3, 64), np.float32)
    np.testing.assert_allclose(Session(path).run({"x": x})[0], x @ WEIGHT, rtol=1e-4, atol=1e-4)
    assert onnx_bytes(path, model) == len(external_model()) + WEIGHT.nbytes


@EVERY_KIND
def test_an_archive_goes_the_whole_way(tmp_path, pack):
    upload, out = tmp_path / "upload", tmp_path / "out"
    upload.write_bytes(pack(MODEL))
    out.mkdir()
    np.savez(tmp_path / "e.npz", x=np.random.default_rng(1).normal(size=(16, 64)).astype(np.float32))
    spec = {"preset": "int8-weights"}
    outcome = quantize_model(Inputs(upload, "m.zip", spec, None, tmp_path / "e.npz"), out, lambda *_: None)
    assert outcome.summary.bytes_before == len(external_model()) + WEIGHT.nbytes
    assert outcome.summary.output_sqnr_db > 35
    assert not onnx.load(out / "model.onnx").graph.initializer[0].external_data


def test_equal_input_gives_equal_bytes(tmp_path, examples):
    exported = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        exported.append(float_onnx(examples / "digits.pt", folder).read_bytes())
    assert exported[0] == exported[1]


def test_a_trace_goes_the_whole_way_and_loses_what_its_onnx_file_loses(tmp_path, examples):
    results = []
    for name in ("digits.pt", "digits.onnx"):
        with np.load(examples / "digits_calibration.npz") as calibration:
            arrays = dict(calibration)
        if name == "digits.pt":
            arrays["images"] = arrays.pop("input")
        np.savez(tmp_path / "c.npz", **arrays)
        inputs = Inputs(examples / name, name, {"preset": "int8"}, tmp_path / "c.npz", tmp_path / "c.npz")
        (tmp_path / name).mkdir()
        outcome = quantize_model(inputs, tmp_path / name, lambda *_: None)
        results.append((outcome.summary.quantized_layers, outcome.summary.output_sqnr_db))
        assert json.loads((tmp_path / name / "report.json").read_text())["warnings"] == []
    assert results[0][0] == results[1][0] == 7
    assert results[0][1] == pytest.approx(results[1][1], abs=1.0)
