"""`quantd plan` by a running service and without one."""

import functools
import json

import pytest
import yaml

from quant.outcome.plan import Plan
from quant.spec import resolve
from tests import command

WHERE = pytest.mark.parametrize("where", [[], ["--local"]], ids=["service", "local"])


@pytest.fixture
def quantd(stack):
    return functools.partial(command.quantd, QUANTD_URL=stack.url)


@WHERE
def test_layers_presets_and_sizes_are_printed_and_the_spec_is_written(quantd, examples, tmp_path, where):
    spec = tmp_path / "spec.yaml"
    result = quantd("plan", examples / "digits.onnx", "--preset", "int4", "--write-spec", spec, *where)
    assert result.returncode == 0, result.stderr
    assert "int4, needs calibration data" in result.stdout
    assert "integer convolution (QLinearConv)" in result.stdout
    for name in ("/stem/stem.0/Conv", "/classifier/Gemm", "int8-weights", "codebook4"):
        assert name in result.stdout
    assert resolve(yaml.safe_load(spec.read_text())) == resolve({"preset": "int4"})


@WHERE
def test_json_is_the_plan(quantd, examples, where):
    result = quantd("plan", examples / "digits.onnx", "--preset", "int8-weights", "--json", *where)
    assert result.returncode == 0, result.stderr
    plan = Plan.model_validate_json(result.stdout)
    assert (len(plan.layers), plan.size.basis) == (7, "structure")


@WHERE
def test_a_model_that_cannot_be_planned_is_exit_1(quantd, examples, tmp_path, where):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((examples / "digits.onnx").read_bytes()[:-700])
    result = quantd("plan", cut, "--json", *where)
    assert result.returncode == 1
    assert json.loads(result.stdout)["code"] == "model.unreadable"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.onnx"], "No such file"),
        (["{model}", "--preset", "int9"], "preset"),
        (["{model}", "--spec", "missing.yaml"], "No such file"),
        (["{model}", "--write-spec", "missing/spec.yaml"], "no folder"),
    ],
    ids=str,
)
def test_wrong_usage_is_exit_3_before_anything_is_sent(examples, arguments, said):
    arguments = [argument.format(model=examples / "digits.onnx") for argument in arguments]
    result = command.quantd("plan", *arguments, QUANTD_URL="http://127.0.0.1:1")
    assert (result.returncode, said in result.stderr) == (3, True), result.stderr


def test_without_a_service_it_is_exit_4(examples):
    result = command.quantd("plan", examples / "digits.onnx", QUANTD_URL="http://127.0.0.1:1")
    assert (result.returncode, "no service answers" in result.stderr) == (4, True)
