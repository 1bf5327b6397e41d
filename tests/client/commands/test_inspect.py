"""`quantd inspect`, which needs no service."""

import json

from onnx import helper

from quant.outcome.plan import Inspection
from tests.command import quantd
from tests.quant.graph.models import model_of

NOWHERE = {"QUANTD_URL": "http://127.0.0.1:1"}


def test_the_file_and_its_layers_are_printed(examples):
    result = quantd("inspect", examples / "digits.onnx", **NOWHERE)
    assert result.returncode == 0, result.stderr
    for text in (
        "float32 [N, 1, 8, 8], batch on axis 0",
        "opset ai.onnx 17",
        "BatchNormalization 5",
        "7 can be quantized",
    ):
        assert text in result.stdout


def test_json_is_the_inspection(examples):
    result = quantd("inspect", examples / "digits.onnx", "--json", **NOWHERE)
    assert len(Inspection.model_validate_json(result.stdout).layers) == 7


def test_a_custom_operator_is_named_and_names_cannot_change_the_terminal(tmp_path):
    path = tmp_path / "m.onnx"
    nodes = [helper.make_node("Odd\x1b[31m", ["x"], ["y"], domain="acme")]
    path.write_bytes(model_of(nodes, domain="acme"))
    result = quantd("inspect", path, **NOWHERE)
    assert result.returncode == 0
    assert "acme::Odd\\x1b[31m" in result.stdout
    assert "\x1b" not in result.stdout
    assert "model.unsupported_operator" in result.stdout


def test_a_file_that_is_no_model_is_exit_1(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no model")
    result = quantd("inspect", path, "--json", **NOWHERE)
    assert (result.returncode, json.loads(result.stdout)["code"]) == (1, "model.unreadable")
