"""The table of metrics by which two jobs are compared."""

import pytest

from quant.errors import SpecError
from quant.outcome.metrics import METRICS, metric_named
from quant.outcome.task_figures import TASK_FIGURES
from tests.quant.outcome.summaries import summary


def test_names_are_unique_and_described():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert all(metric.description.endswith(".") for metric in METRICS)


def test_a_metric_is_looked_up_by_its_name():
    assert all(metric_named(metric.name) is metric for metric in METRICS)
    with pytest.raises(SpecError, match="there is no metric 'speed'; accepted: bytes_after, "):
        metric_named("speed")


def test_every_metric_reads_its_figure():
    measured = summary(bytes_after=250, output_sqnr_db=26.5, top1_float=92.0, top1_quantized=91.5, top1_agreement=0.98)
    assert {metric.name: metric.figure(measured) for metric in METRICS} == {
        "bytes_after": 250,
        "size_ratio": 0.25,
        "weight_sqnr_db": 21.0,
        "output_sqnr_db": 26.5,
        "worst_output_sqnr_db": 26.5,
        "output_cosine": None,
        "top1_agreement": 0.98,
        "top1_quantized": 91.5,
        "top1_drop_points": 0.5,
        **{figure.name: None for figure in TASK_FIGURES},
    }


def test_a_difference_of_percentages_is_in_points():
    assert {metric.name for metric in METRICS if metric.unit_of_difference != metric.unit} == {"top1_quantized"}
    assert metric_named("top1_quantized").unit_of_difference == "points"


def test_the_page_on_comparisons_describes_each_of_them(examples):
    page = (examples.parent / "docs" / "artifacts.md").read_text()
    for metric in METRICS:
        unit = metric.unit_of_difference or "number"
        assert f"| `{metric.name}` | {unit} | {metric.better} | {metric.description} |" in page
