"""A model that is large for its job's memory, over HTTP: an archive is uploaded, two files are downloaded."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from jobs.stack import Stack

MEMORY = 350 << 20
INPUTS, OUTPUTS = 1 << 15, 256


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A zip of a MatMul model of 34 MB with its weight as external data."""
    folder = tmp_path_factory.mktemp("large")
    weight = np.random.default_rng(0).standard_normal((INPUTS, OUTPUTS), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", OUTPUTS])],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, folder / "float.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    path = folder / "model.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name in ("float.onnx", "weights.bin"):
            made.write(folder / name, name)
    return path


def test_the_weights_are_a_separate_artifact(archive, tmp_path):
    output = tmp_path / "int4.onnx"
    with Stack(tmp_path / "state", settings={"QUANTD_JOB_MEMORY_BYTES": str(MEMORY)}) as stack:
        command = [
            sys.executable,
            "-m",
            "quantd",
            "quantize",
            archive,
            "--preset",
            "int4-weights",
            "-o",
            output,
            "--json",
        ]
        environment = os.environ | {"QUANTD_URL": stack.url}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)["summary"]
    assert (tmp_path / "model.onnx.data").stat().st_size + output.stat().st_size == summary["bytes_after"]
    assert summary["size_ratio"] < 0.2
    x = np.random.default_rng(1).normal(size=(2, INPUTS)).astype(np.float32)
    expected, actual = (
        ort.InferenceSession(path).run(None, {"x": x})[0] for path in (archive.parent / "float.onnx", output)
    )
    assert np.corrcoef(expected.ravel(), actual.ravel())[0, 1] > 0.98
