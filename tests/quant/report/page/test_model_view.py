"""The texts of the page on the whole model."""

import pytest
import yaml

from quant.outcome.report.sections import Compared, MetricValue, OutputEntry, TotalMeanShift
from quant.outcome.summary import WorstOutput
from quant.report.page.model_view import (
    candidates,
    choice_note,
    output_table,
    provenance,
    quality_cards,
    size_cards,
    spec_text,
    subtitle,
    total_shift,
)
from quant.spec import resolve
from tests.quant.reports import digits_report


@pytest.fixture
def report():
    return digits_report("int4")


def changed(report, section, **changes):
    return report.model_copy(update={section: getattr(report, section).model_copy(update=changes)})


def output(name, sqnr_db, **changes):
    entry = OutputEntry(
        name=name, dtype="float32", samples=8, sqnr_db=sqnr_db, cosine=0.5, identical=False, agreement=None,
        mean_error=0.1, max_error=1.0, finite_fraction=1.0, nonfinite_agreement=None, reason=None,
    )  # fmt: skip
    return entry.model_copy(update=changes)


def cards(report):
    return {title: (value, note) for title, value, note in (*size_cards(report), *quality_cards(report))}


def test_the_cards_show_the_summary_with_unit_and_sample(report):
    shown = cards(report)
    summary = report.summary
    assert shown["Size"][0] == f"{100 * summary.size_ratio:.1f} %"
    assert shown["Output SQNR"] == (f"{summary.output_sqnr_db:.1f} dB", "500 evaluation samples")
    value, note = shown["Top-1 accuracy"]
    interval = report.evaluation.top1_difference
    assert value == f"{summary.top1_quantized:.2f} %"
    assert f"95 % interval {interval.low:+.2f} to {interval.high:+.2f}; 500 samples".replace("-", "−") in note
    assert shown["Layers quantized"][0] == "7 of 7"


def test_without_evaluation_data_nothing_is_claimed_of_the_outputs():
    shown = cards(digits_report("int4-weights", calibrated=False, evaluated=False))
    assert shown["Output SQNR"] == ("not measured", "without evaluation data")
    assert "Top-1 accuracy" not in shown
    assert "Agreement" not in shown


def test_equal_outputs_are_exact(report):
    outputs = (output("a", 200.0, identical=True), output("b", None, identical=True))
    assert cards(report.model_copy(update={"outputs": outputs}))["Output SQNR"][0] == "exact"


def test_of_many_outputs_the_worst_is_named(report):
    report = report.model_copy(update={"outputs": (output("a", 20.0), output("b", 3.0))})
    finite = changed(report, "summary", worst_output=WorstOutput(name="b", sqnr_db=3.0))
    assert cards(finite)["Output SQNR"][1].endswith("worst of 2 outputs: b, 3.0 dB")
    broken = changed(report, "summary", worst_output=WorstOutput(name="b", sqnr_db=None))
    assert cards(broken)["Output SQNR"][1].endswith("b, not finite")


def test_a_single_output_that_is_not_finite_says_so(report):
    report = report.model_copy(update={"outputs": (output("a", None, reason="only its values are NaN"),)})
    report = changed(report, "summary", output_sqnr_db=None, worst_output=WorstOutput(name="a", sqnr_db=None))
    assert cards(report)["Output SQNR"] == ("not finite", "8 evaluation samples; only its values are NaN")


def test_an_output_without_an_sqnr_says_why(report):
    report = report.model_copy(update={"outputs": (output("a", None, reason="its values are strings"),)})
    report = changed(report, "summary", output_sqnr_db=None, worst_output=None)
    assert cards(report)["Output SQNR"] == ("not measured", "8 evaluation samples; its values are strings")


def test_the_metric_of_the_spec_has_a_card(report):
    report = changed(report, "evaluation", metric=MetricValue(name="miou", value=0.8123))
    assert cards(report)["Metric miou"][0] == "0.812"


def test_the_provenance_names_model_data_and_software_with_their_digests(report):
    facts = dict(provenance(report))
    assert report.model.sha256 in facts["Model"]
    assert report.provenance.calibration_sha256 in facts["Calibration data"]
    assert facts["Evaluation data"].startswith("first 500 of 500 samples, in batches of 8")
    assert "onnxruntime" in facts["Software"]
    assert "Synthetic inputs" not in facts


def test_the_provenance_without_data_says_what_synthetic_inputs_are_for():
    facts = dict(provenance(digits_report("int4-weights", calibrated=False, evaluated=False)))
    assert facts["Evaluation data"] == "none"
    assert "no figure of this report is measured on them" in facts["Synthetic inputs"]


def test_the_spec_can_be_sent_again(report):
    assert resolve(yaml.safe_load(spec_text(report))).model_dump(mode="json") == report.spec


def test_the_form_of_the_model_in_words(report):
    assert subtitle(report) == "preset int4, 4-bit weights, 8-bit activations"
    assert subtitle(digits_report("int4-weights", calibrated=False, evaluated=False)).endswith("float activations")


def test_outputs_begin_with_the_worst_and_empty_columns_are_left_out(report):
    outputs = (
        output("same", 200.0, identical=True),
        output("good", 30.0),
        output("text", None, cosine=None, mean_error=None, max_error=None, reason="strings", agreement=0.5),
        output("bad", 2.0, nonfinite_agreement=0.25),
    )
    table = output_table(report.model_copy(update={"outputs": outputs}))
    assert [row.name for row in table.rows] == ["bad", "good", "text", "same"]
    assert table.rows[0].note == "25.0 % of the other values are the same"
    assert table.rows[2].figures[table.headings.index("Equal values")] == "50.00 %"
    assert table.rows[3].figures[0] == "exact"
    assert "Equal values" not in output_table(report).headings
    assert all(len(row.figures) == len(table.headings) for row in table.rows)


def test_the_chosen_candidate_comes_first_with_the_distance_of_the_others(report):
    compared = Compared(chosen="b", output_sqnr_db={"a": 5.0, "b": 20.0, "c": None, "d": 18.0})
    report = report.model_copy(update={"compared": compared})
    views = candidates(report)
    assert [(view.name, view.sqnr, view.chosen, view.behind) for view in views] == [
        ("b", "20.0 dB", True, ""),
        ("d", "18.0 dB", False, "2.0 dB behind"),
        ("a", "5.0 dB", False, "15.0 dB behind"),
        ("c", "not measured", False, ""),
    ]
    assert choice_note(report).endswith("Chosen: b, 20.0 dB. The next, d, is 2.0 dB behind.")


def test_one_candidate_has_no_table(report):
    report = report.model_copy(update={"compared": Compared(chosen="b", output_sqnr_db={})})
    assert candidates(report) == []
    assert choice_note(report) == ""


def test_the_sum_of_the_mean_shifts_in_words(report):
    total = report.total_mean_shift
    text = total_shift(report)
    assert "without bias correction" in text
    assert f"on the same {total.samples} held-out samples" in text
    nothing = TotalMeanShift(
        before=None, after=None, before_standard_error=None, after_standard_error=None, samples=0, reason="no data"
    )
    assert total_shift(report.model_copy(update={"total_mean_shift": nothing})).endswith(
        "not measured, because no data."
    )
