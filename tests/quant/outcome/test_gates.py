"""Gates compare a measured figure with the spec's limit; the table of gates is the only place that lists them."""

import subprocess
import sys

import pytest

from quant.errors import DataRequired, SpecError
from quant.outcome.better import Better
from quant.outcome.gates import GATES, GateFigures, GateResult, check_gates, verdict
from quant.outcome.summary import UNMEASURED, OutputFigures, SizeFigures
from quant.spec import Gates, require_data, resolve

OUTPUTS = OutputFigures(
    output_sqnr_db=25.0, output_cosine=0.99, top1_agreement=0.97, top1_float=90.0, top1_quantized=89.5
)
FIGURES = GateFigures(SizeFigures.of(100, 28), OUTPUTS, [30.0, 12.0], 0.8)


@pytest.mark.parametrize(
    ("gate", "limit", "value", "passed"),
    [
        ("min_output_sqnr_db", 25.0, 25.0, True),
        ("min_output_sqnr_db", 25.1, 25.0, False),
        ("max_top1_drop_points", 0.5, 0.5, True),
        ("max_top1_drop_points", 0.4, 0.5, False),
        ("min_top1_agreement", 0.97, 0.97, True),
        ("min_top1_agreement", 0.98, 0.97, False),
        ("max_size_ratio", 0.3, 0.28, True),
        ("max_size_ratio", 0.27, 0.28, False),
        ("min_layer_sqnr_db", 12.0, 12.0, True),
        ("min_layer_sqnr_db", 13.0, 12.0, False),
        ("max_latency_ratio", 0.8, 0.8, True),
        ("max_latency_ratio", 0.7, 0.8, False),
    ],
)
def test_a_gate_passes_by_the_measured_value(gate, limit, value, passed):
    (result,) = check_gates(Gates(**{gate: limit}), FIGURES)
    assert result == GateResult(name=gate, limit=limit, value=value, passed=passed)
    assert verdict([result]) == ("pass" if passed else "fail")


@pytest.mark.parametrize(
    "gate",
    [gate for gate in GATES if (gate.needs_evaluation or gate.is_timed) and not gate.of_baseline],
    ids=lambda gate: gate.name,
)
def test_a_figure_that_was_not_measured_fails_its_gate(gate):
    (result,) = check_gates(Gates(**{gate.name: 0.5}), GateFigures(SizeFigures.of(1, 1), UNMEASURED, []))
    assert (result.value, result.passed) == (None, False)
    assert "was not measured" in result.failure


def test_one_failed_gate_fails_the_job_and_no_gate_gives_no_verdict():
    assert verdict(check_gates(Gates(max_size_ratio=0.2, min_layer_sqnr_db=10), FIGURES)) == "fail"
    assert verdict(check_gates(Gates(), FIGURES)) is None


def test_a_failure_names_the_value_the_margin_and_the_accepted_values():
    size, layer = check_gates(Gates(max_size_ratio=0.2, min_layer_sqnr_db=13), FIGURES)
    assert size.failure == "max_size_ratio is 0.28, which misses the limit by 0.08; accepted: at most 0.2"
    assert layer.failure == "min_layer_sqnr_db is 12 dB, which misses the limit by 1 dB; accepted: at least 13 dB"


def test_gates_on_durations_can_be_left_out():
    limits = Gates(max_latency_ratio=0.7, max_size_ratio=0.3)
    assert [result.name for result in check_gates(limits, FIGURES)] == ["max_size_ratio", "max_latency_ratio"]
    assert [result.name for result in check_gates(limits, FIGURES, timed=False)] == ["max_size_ratio"]


def test_names_and_directions_agree():
    for gate in GATES:
        assert gate.name.startswith("min_" if gate.better is Better.HIGHER else "max_")
        assert gate.description.endswith(".")


@pytest.mark.parametrize(
    ("gate", "limit"),
    [
        ("max_size_ratio", 0),
        ("min_top1_agreement", 1.1),
        ("max_top1_drop_points", -1),
        ("speed", 1),
        ("max_latency_ratio", 0),
    ],
)
def test_a_limit_outside_its_bounds_is_refused_at_its_place(gate, limit):
    with pytest.raises(SpecError) as caught:
        resolve({"gates": {gate: limit}})
    assert [error.pointer for error in caught.value.errors] == [f"/gates/{gate}"]


def test_the_json_schema_describes_every_gate():
    properties = Gates.model_json_schema()["properties"]
    assert list(properties) == [gate.name for gate in GATES]
    assert all(properties[gate.name]["description"] == gate.description for gate in GATES)


def test_gates_on_outputs_ask_for_evaluation_data():
    spec = resolve({"preset": "int8-weights", "gates": {gate.name: 0.5 for gate in GATES if not gate.of_baseline}})
    with pytest.raises(DataRequired) as caught:
        require_data(spec, calibration=False, evaluation=False)
    pointers = [error.pointer for error in caught.value.errors]
    assert pointers == [f"/gates/{gate.name}" for gate in GATES if gate.needs_evaluation and not gate.of_baseline]


NEW_GATE = """
from quant.outcome import gates
from quant.outcome.better import Better
added = gates.Gate(
    "min_output_cosine", "", "The least cosine similarity.", Better.HIGHER,
    lambda figures: figures.outputs.output_cosine, bounds={"le": 1}, needs_evaluation=True,
)
gates.GATES = (*gates.GATES, added)

from quant.errors import DataRequired, SpecError
from quant.outcome.summary import SizeFigures, UNMEASURED
from quant.report.junit import junit_xml
from quant.spec import json_schema, require_data, resolve

spec = resolve({"objective": "smallest_within_gates", "gates": {"min_output_cosine": 0.9}})
try:
    resolve({"gates": {"min_output_cosine": 2}})
except SpecError as error:
    print(error.errors[0].pointer, error.errors[0].detail)
try:
    require_data(spec, calibration=True, evaluation=False)
except DataRequired as error:
    print(error.errors[0].pointer)
print(json_schema()["$defs"]["Gates"]["properties"]["min_output_cosine"]["description"])
outputs = UNMEASURED.model_copy(update={"output_cosine": 0.5})
results = gates.check_gates(spec.gates, gates.GateFigures(SizeFigures.of(1, 1), outputs, []))
print(gates.verdict(results))
print(junit_xml(results).decode())
"""


def test_a_new_gate_is_one_value_in_the_table():
    process = subprocess.run([sys.executable, "-c", NEW_GATE], capture_output=True, text=True, check=True)
    refusal, pointer, description, result, *document = process.stdout.splitlines()
    assert refusal == "/gates/min_output_cosine Input should be less than or equal to 1"
    assert pointer == "/gates/min_output_cosine"
    assert description == "The least cosine similarity."
    assert result == "fail"
    assert any('message="min_output_cosine is 0.5, which misses' in line for line in document)


@pytest.mark.parametrize(
    ("name", "limit", "value", "margin"),
    [
        ("min_output_sqnr_db", 20.0, 22.5, 2.5),
        ("min_output_sqnr_db", 20.0, 19.0, -1.0),
        ("max_size_ratio", 0.5, 0.25, 0.25),
        ("max_size_ratio", 0.25, 0.5, -0.25),
        ("max_size_ratio", 0.25, None, None),
    ],
)
def test_the_margin_is_above_zero_where_the_limit_is_kept(name, limit, value, margin):
    assert GateResult(name=name, limit=limit, value=value, passed=(margin or 0) > 0).margin == margin


def test_the_margin_at_the_limit_is_a_positive_zero():
    margin = GateResult(name="max_size_ratio", limit=0.25, value=0.25, passed=True).margin
    assert f"{margin:+g}" == "+0"


@pytest.mark.parametrize(("better", "rise"), [(Better.HIGHER, "better"), (Better.LOWER, "worse")])
def test_a_change_is_better_or_worse_by_the_direction(better, rise):
    assert better.word(1.0) == rise
    assert {better.word(1.0), better.word(-1.0)} == {"better", "worse"}
