"""Latency of a job: when it is measured, and where its figures go."""

import json

import pytest

from quant.errors import SpecError
from quant.evaluation.timed_inputs import NO_INPUTS
from quant.outcome.job_parts import Part
from quant.outcome.latency import LayerTime
from quant.pipeline import Inputs, quantize_model
from quant.report import latency as module
from quant.spec import resolve

WEIGHTS = {"clipping": "minmax", "distributions": ["gaussian"]}


@pytest.fixture
def run(examples, tmp_path):
    """Return a function that quantizes the digits network; it returns the outcome and the folder of the artifacts."""

    def quantize(spec, folder="out", **roles):
        out = tmp_path / folder
        out.mkdir()
        files = {role: examples / f"digits_{role}.npz" for role in roles}
        spec = {"preset": "int8-weights", "weights": WEIGHTS, **spec}
        log = []
        inputs = Inputs(examples / "digits.onnx", "digits.onnx", spec, **files)
        return quantize_model(inputs, out, lambda *_: None, lambda *line: log.append(line)), out, log

    return quantize


def test_it_is_measured_by_default_also_without_data(run):
    latency = run({})[0].latency
    assert latency.reason is None
    assert latency.ratio > 0
    assert {timing.batch for timing in latency.float} == {8, 1}


def test_it_can_be_switched_off(run):
    assert run({"measure": {"latency": False}})[0].latency is None


def test_no_artifact_depends_on_it(run, monkeypatch):
    _, first, _ = run({"measure": {"latency": None}}, "first")
    monkeypatch.setattr(module, "measure_latency", lambda *_, **__: module.Latency.unmeasured("not now"))
    _, second, _ = run({"measure": {"latency": None}}, "second")
    names = sorted(path.name for path in first.iterdir())
    assert [(second / name).read_bytes() for name in names] == [(first / name).read_bytes() for name in names]
    begin, end = Part.LATENCY.begin, Part.LATENCY.end
    assert not (first / "report.html").read_text().partition(begin)[2].partition(end)[0].strip()
    assert json.loads((first / "report.json").read_text())["latency"] is None


def test_a_gate_is_checked_and_leaves_report_and_page_without_its_value(run):
    outcome, out, _ = run({"gates": {"max_latency_ratio": 1e9}}, "pass")
    assert outcome.verdict == "pass"
    assert outcome.gates[0].value == outcome.latency.ratio
    assert "<code>max_<wbr>latency_<wbr>ratio</code>" not in (out / "report.html").read_text()
    assert run({"gates": {"max_latency_ratio": 1e-9}}, "fail")[0].verdict == "fail"


def test_a_gate_without_a_measurement_fails_with_the_reason(run, monkeypatch):
    monkeypatch.setattr(module, "timed_inputs", lambda *_: None)
    outcome, *_ = run({"gates": {"max_latency_ratio": 2}})
    assert (outcome.verdict, outcome.gates[0].value, outcome.latency.reason) == ("fail", None, NO_INPUTS)


def test_a_gate_and_no_measurement_are_refused():
    with pytest.raises(SpecError, match="accepted: measure without latency: false"):
        resolve({"gates": {"max_latency_ratio": 1}, "measure": {"latency": False}})


def test_the_search_for_the_smallest_model_does_not_check_it(run):
    gates = {"min_output_sqnr_db": 5, "max_latency_ratio": 1e9}
    outcome, out, _ = run({"objective": "smallest_within_gates", "gates": gates}, calibration=1, evaluation=1)
    report = json.loads((out / "report.json").read_text())
    assert [gate["name"] for gate in report["search"]["tried"][0]["gates"]] == ["min_output_sqnr_db"]
    assert outcome.verdict == "pass"


def test_a_model_that_cannot_be_timed_is_no_failed_job(run, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(module, "measure_latency", fail)
    assert "too little memory" in run({})[0].latency.reason


def test_layers_in_float_do_not_change_the_signature_of_a_finished_job(run):
    outcome, out, log = run({"keep_float": "slower"})
    report = json.loads((out / "report.json").read_text())
    skipped = {node["name"] for node in report["skipped"]}
    manifest = json.loads((out / "manifest.json").read_text())
    assert {rule["match"] for rule in manifest["spec"]["layers"]} <= skipped
    assert outcome.summary.quantized_layers == len(report["layers"])
    assert all(line[0] in ("info", "warning") for line in log)


@pytest.mark.parametrize(
    ("spec", "named"),
    [({}, True), ({"keep_float": "slower"}, False), ({"export": {"profile": "generic"}}, False)],
)
def test_a_warning_names_the_remedy_where_the_spec_allows_it(run, monkeypatch, spec, named):
    layer = LayerTime(name="a", op="Conv", float_ms=1, quantized_ms=2)
    slow = module.Latency(float=(), quantized=(), ratio=2, layers=(layer,), warnings=("slow",))
    monkeypatch.setattr(module, "measure_latency", lambda *_, **__: slow)
    (warning,) = run(spec)[0].latency.warnings
    assert (module.KEEP_FLOAT in warning) == named
