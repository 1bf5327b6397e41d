"""Limits on how much worse a job may be than a baseline."""

import pytest

from quantd.regression import check_regressions
from tests.quant.outcome.summaries import summary


def check(name, limit, baseline, value, *, same_evaluation=True):
    """Return the check of one metric of the summary."""
    summaries = (summary(**{name: figure}).model_dump(mode="json") for figure in (baseline, value))
    (checked,) = check_regressions({name: limit}, *summaries, same_evaluation=same_evaluation)
    return checked


@pytest.mark.parametrize(
    ("name", "limit", "baseline", "value", "passed"),
    [
        ("output_sqnr_db", 0.5, 26.5, 26.0, True),
        ("output_sqnr_db", 0.5, 26.5, 25.9, False),
        ("output_sqnr_db", 0.0, 26.5, 26.5, True),
        ("output_sqnr_db", 0.0, 26.5, 30.0, True),
        ("bytes_after", 10, 250, 260, True),
        ("bytes_after", 10, 250, 261, False),
        ("bytes_after", 0, 250, 100, True),
        ("top1_quantized", 0.2, 91.5, 91.0, False),
    ],
)
def test_a_metric_may_be_worse_by_the_limit(name, limit, baseline, value, passed):
    checked = check(name, limit, baseline, value)
    assert checked.passed is passed
    assert checked.change == value - baseline
    assert checked.reason is None


def test_a_figure_that_was_not_measured_fails():
    for baseline in (26.5, None):
        checked = check("output_sqnr_db", 0.5, baseline, None)
        assert (checked.passed, checked.change, checked.reason) == (False, None, "it was not measured")


def test_a_figure_that_only_the_baseline_lacks_passes_with_the_reason():
    checked = check("output_sqnr_db", 0.5, None, 26.5)
    assert checked.passed
    assert checked.sentence.startswith("output_sqnr_db: the baseline has no such figure")


def test_figures_on_other_data_are_not_compared():
    checked = check("output_sqnr_db", 0.5, 30.0, 20.0, same_evaluation=False)
    assert (checked.passed, checked.change) == (True, None)
    assert "evaluated on other data" in checked.sentence
    assert not check("weight_sqnr_db", 0.5, 30.0, 20.0, same_evaluation=False).passed


@pytest.mark.parametrize(
    ("name", "limit", "baseline", "value", "sentence"),
    [
        ("output_sqnr_db", 0.5, 26.5, 26.5, "output_sqnr_db is 26.5 dB, as in the baseline"),
        ("output_sqnr_db", 0.5, 26.5, 26.25, "output_sqnr_db is 26.25 dB, 0.25 dB worse than the baseline's 26.5 dB"),
        ("bytes_after", 0, 250, 100, "bytes_after is 100 bytes, 150 bytes better than the baseline's 250 bytes"),
        (
            "top1_quantized",
            0.2,
            91.5,
            91.0,
            "top1_quantized is 91 %, 0.5 points worse than the baseline's 91.5 %; accepted: at most 0.2 points worse",
        ),
    ],
)
def test_the_result_is_told_in_a_sentence(name, limit, baseline, value, sentence):
    assert check(name, limit, baseline, value).sentence == sentence
