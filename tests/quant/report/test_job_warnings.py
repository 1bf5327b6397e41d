"""Warnings about a job: each has a code, its cause, and what would help."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from quant.deadline import Deadline
from quant.outcome.summary import LIMIT_CODE
from quant.pipeline import Inputs, quantize_model
from quant.report.job_warnings import SIZE_CODE, limit_warnings, size_warnings


@pytest.fixture
def job(tmp_path):
    """Return a function that quantizes a chain of two convolutions and a Gemm, and returns summary and report."""
    rng = np.random.default_rng(0)
    weights = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (8, 4)}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3"], ["y"], "third"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), name) for name, s in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    np.savez(tmp_path / "c.npz", x=rng.normal(size=(32, 3, 8, 8)).astype(np.float32))

    def run(spec):
        evaluation = tmp_path / "c.npz" if "gates" in spec else None
        inputs = Inputs(tmp_path / "m.onnx", "m.onnx", spec, tmp_path / "c.npz", evaluation)
        outcome = quantize_model(inputs, tmp_path, lambda *_: None)
        return outcome.summary, json.loads((tmp_path / "report.json").read_text())

    return run


@pytest.mark.parametrize("spec", [
    {}, {"preset": "int4-weights"}, {"equalization": "auto", "activations": {"clipping": "auto"}},
    {"budget": {"max_size_ratio": 0.9}}, {"objective": "smallest_within_gates", "gates": {"min_output_sqnr_db": 5}},
])  # fmt: skip
def test_a_limit_that_is_too_short_gives_a_model_and_a_warning(job, spec):
    summary, report = job({**spec, "limits": {"seconds": 1e-6}})
    (warning,) = (warning for warning in summary.warnings if warning.code == LIMIT_CODE)
    assert warning.detail in report["warnings"]
    assert "depends on measured time" in warning.detail
    assert summary.quantized_layers == 3
    assert report["error_share_basis"]["reason"] == report["total_mean_shift"]["reason"]


def test_after_the_limit_nothing_is_clipped(job):
    _, report = job({"limits": {"seconds": 1e-6}})
    assert {layer["clipping"] for layer in report["layers"]} == {"minmax"}


def test_a_limit_that_is_not_reached_changes_no_byte_of_the_layers(job):
    summary, report = job({"limits": {"seconds": 1000}})
    _, unlimited = job({})
    assert not [warning for warning in summary.warnings if warning.code == LIMIT_CODE]
    assert report["layers"] == unlimited["layers"]


def test_a_file_that_has_grown_says_by_what(job):
    summary, report = job({"preset": "codebook4"})
    assert summary.size_ratio > 1
    (warning,) = (warning for warning in summary.warnings if warning.code == SIZE_CODE)
    assert "nodes that quantize and dequantize" in warning.detail
    assert "tables of levels" in warning.detail
    assert warning.detail in report["warnings"]


def test_a_file_that_has_not_grown_has_no_warning():
    assert list(size_warnings(100, 100, None)) == []
    (warning,) = size_warnings(100, 150, None)
    assert "1.50 times" in warning.detail
    assert list(limit_warnings(Deadline(1000))) == []
