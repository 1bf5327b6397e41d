"""The comparison of two jobs' reports."""

from itertools import pairwise

import pytest

from quant.outcome.compare import NO_SUCH_LAYER, compare_reports
from quant.outcome.comparison import Comparison
from quant.outcome.report.sections import SkippedNode
from tests.quant.reports import digits_report


@pytest.fixture(scope="module")
def int4():
    return digits_report("int4")


@pytest.fixture(scope="module")
def int8():
    return digits_report("int8")


@pytest.fixture(scope="module")
def comparison(int4, int8):
    return compare_reports(int4, int8)


def changed(report, **figures):
    """Return the report with other figures in its summary."""
    return report.model_copy(update={"summary": report.summary.model_copy(update=figures)})


def with_data(report, **digests):
    """Return the report with digests of other data."""
    return report.model_copy(update={"provenance": report.provenance.model_copy(update=digests)})


def test_a_report_equals_itself(int4):
    comparison = compare_reports(int4, int4)
    assert comparison.same_model
    assert (comparison.notes, comparison.spec, comparison.only_in_a, comparison.only_in_b) == ((), (), (), ())
    assert {metric.change for metric in comparison.metrics} == {"same"}
    assert {gate.change for gate in comparison.gates} == {"same"}
    assert not any(layer.is_changed for layer in comparison.layers)


def test_a_difference_is_judged_by_the_direction_of_its_metric(comparison, int4, int8):
    metrics = {metric.name: metric for metric in comparison.metrics}
    sqnr, size = metrics["output_sqnr_db"], metrics["bytes_after"]
    assert (sqnr.a, sqnr.b) == (int4.summary.output_sqnr_db, int8.summary.output_sqnr_db)
    assert sqnr.difference == sqnr.b - sqnr.a > 0
    assert (sqnr.change, sqnr.unit) == ("better", "dB")
    assert (size.change, size.difference > 0) == ("worse", True)
    backwards = {metric.name: metric.change for metric in compare_reports(int8, int4).metrics}
    assert (backwards["output_sqnr_db"], backwards["bytes_after"]) == ("worse", "better")


def test_a_metric_that_one_job_lacks_has_no_difference(int4, int8):
    metrics = {metric.name: metric for metric in compare_reports(changed(int4, output_cosine=None), int8).metrics}
    cosine = metrics["output_cosine"]
    assert (cosine.a, cosine.b, cosine.difference, cosine.change) == (None, int8.summary.output_cosine, None, None)
    neither = compare_reports(changed(int4, output_cosine=None), changed(int8, output_cosine=None)).metrics
    assert "output_cosine" not in {metric.name for metric in neither}


def test_layers_with_the_largest_change_of_their_output_come_first(comparison, int4):
    differences = [abs(layer.output_sqnr_db.difference) for layer in comparison.layers]
    assert differences == sorted(differences, reverse=True)
    assert {layer.name for layer in comparison.layers} == {layer.name for layer in int4.layers}
    settings = {setting.key: (setting.a, setting.b) for setting in comparison.layers[0].settings}
    assert settings["bits"] == (4, 8)


def test_without_outputs_the_weights_decide_the_order():
    a, b = (digits_report(f"{preset}-weights", calibrated=False, evaluated=False) for preset in ("int4", "int8"))
    comparison = compare_reports(a, b)
    differences = [abs(layer.weight_sqnr_db.difference) for layer in comparison.layers]
    assert all(first >= second for first, second in pairwise(differences))
    assert all(layer.output_sqnr_db.difference is None for layer in comparison.layers)


def test_a_layer_of_one_job_has_the_reason_of_the_other(int4, int8):
    dropped, renamed = int8.layers[0], int8.layers[1]
    skipped = SkippedNode(name=dropped.name, op=dropped.op, reason="the spec says skip")
    other = int8.model_copy(update={
        "layers": (renamed.model_copy(update={"name": "other"}), *int8.layers[2:]),
        "skipped": (skipped,),
    })  # fmt: skip
    comparison = compare_reports(int4, other)
    reasons = [(layer.name, layer.reason) for layer in comparison.only_in_a]
    assert reasons == [(dropped.name, "the spec says skip"), (renamed.name, NO_SUCH_LAYER)]
    assert [(layer.name, layer.bits, layer.reason) for layer in comparison.only_in_b] == [("other", 8, NO_SUCH_LAYER)]


def test_a_gate_is_compared_by_its_result(comparison, int4, int8):
    gates = {gate.name: gate for gate in comparison.gates}
    assert (gates["min_output_sqnr_db"].change, gates["max_size_ratio"].change) == ("better", "same")
    assert gates["min_output_sqnr_db"].a.limit == gates["min_output_sqnr_db"].b.limit == 30
    without = int4.model_copy(update={"gates": int4.gates[1:]})
    lone = {gate.name: gate for gate in compare_reports(without, int8).gates}["min_output_sqnr_db"]
    assert (lone.a, lone.b.passed, lone.change) == (None, True, None)


def test_the_specs_differ_by_json_pointer(int4):
    specs = (
        {"weights": {"bits": 4, "grid": "apot"}, "layers": [{"match": "a/b"}, {"match": "c"}], "a/b~c": 1},
        {"weights": {"bits": 8, "grid": "apot"}, "layers": [{"match": "a/*"}], "seed": 0},
    )
    a, b = (int4.model_copy(update={"spec": spec}) for spec in specs)
    differences = [(found.pointer, found.a, found.b, found.only_in) for found in compare_reports(a, b).spec]
    assert differences == [
        ("/weights/bits", 4, 8, None),
        ("/layers/0/match", "a/b", "a/*", None),
        ("/layers/1", {"match": "c"}, None, "a"),
        ("/a~1b~0c", 1, None, "a"),
        ("/seed", None, 0, "b"),
    ]


def test_figures_on_other_evaluation_data_are_not_compared(int4, int8):
    comparison = compare_reports(int4, with_data(int8, evaluation_sha256="ab" * 32))
    assert not comparison.same_evaluation
    assert "The jobs have different evaluation data, so figures on the model's outputs" in comparison.notes[0]
    metrics = {metric.name: metric for metric in comparison.metrics}
    assert (metrics["output_sqnr_db"].difference, metrics["output_sqnr_db"].change) == (None, None)
    assert metrics["output_sqnr_db"].b == int8.summary.output_sqnr_db
    assert metrics["weight_sqnr_db"].change == "better"


def test_figures_on_other_calibration_data_are_not_compared(int4, int8):
    comparison = compare_reports(int4, with_data(int8, calibration_sha256=None))
    assert not comparison.same_calibration
    assert comparison.notes[0].startswith("Only job A has calibration data, so")
    layer = comparison.layers[0]
    assert (layer.output_sqnr_db.difference, layer.error_share.difference) == (None, None)
    assert layer.weight_sqnr_db.difference > 0


def test_another_model_and_another_version_are_said(int4, int8):
    other = with_data(int8, quantd="0.2.0")
    other = other.model_copy(update={"model": other.model.model_copy(update={"sha256": "cd" * 32})})
    comparison = compare_reports(int4, other)
    assert not comparison.same_model
    assert any("different models" in note for note in comparison.notes)
    assert any("versions of quantd, " in note and "0.2.0" in note for note in comparison.notes)


def test_a_comparison_is_read_again_from_its_json(comparison):
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison
