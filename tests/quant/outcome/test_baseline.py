"""The comparison of a job with its baseline, and the gates on it."""

import pytest

from quant.outcome.baseline import NO_FIGURE, OTHER_DATA, Baseline, compare_with_baseline, regressions
from quant.outcome.gates import GATES, NO_BASELINE, GateFigures, check_gates, verdict
from quant.outcome.metrics import METRICS
from quant.spec import Gates
from tests.quant.outcome.summaries import summary

INPUTS = {"model": "a" * 64, "evaluation": "e" * 64}


def results(limits, before, after, inputs=INPUTS):
    baseline = Baseline(job="job_0", inputs=INPUTS, summary=before, latency_ratio=0.5)
    comparison = compare_with_baseline(baseline, inputs, after, 0.6)
    return comparison, check_gates(Gates(**limits), GateFigures(after, after, [], None, regressions(comparison)))


@pytest.mark.parametrize(
    ("name", "limit", "figures", "value", "passed"),
    [
        ("output_sqnr_db", 0.5, {"output_sqnr_db": 29.6}, 0.4, True),
        ("output_sqnr_db", 0.3, {"output_sqnr_db": 29.6}, 0.4, False),
        ("output_sqnr_db", 0, {"output_sqnr_db": 31.0}, -1.0, True),
        ("bytes_after", 9, {"bytes_after": 260}, 10, False),
        ("bytes_after", 10, {"bytes_after": 260}, 10, True),
        ("output_sqnr_db", 5, {}, None, False),
    ],
)
def test_a_gate_limits_how_much_worse_a_figure_may_be(name, limit, figures, value, passed):
    _, (gate,) = results({f"max_{name}_regression": limit}, summary(output_sqnr_db=30.0), summary(**figures))
    assert (gate.value, gate.passed, gate.reason) == (pytest.approx(value), passed, None)
    assert verdict([gate]) == ("pass" if passed else "fail")


def test_a_gate_is_not_judged_without_a_figure_to_compare_with():
    limits = {"max_output_sqnr_db_regression": 1, "max_bytes_after_regression": 0}
    comparison, gates = results(
        limits, summary(output_sqnr_db=30.0), summary(output_sqnr_db=1.0), {**INPUTS, "evaluation": "f" * 64}
    )
    assert [(gate.passed, gate.reason) for gate in gates] == [(True, None), (True, OTHER_DATA)]
    assert (verdict(gates), verdict(gates[1:])) == ("pass", None)
    assert (comparison.same_model, comparison.same_evaluation) == (True, False)
    assert comparison.latency_ratio.difference == pytest.approx(0.1)
    _, (size, sqnr) = results(limits, summary(), summary(output_sqnr_db=1.0))
    assert (size.reason, sqnr.reason) == (None, NO_FIGURE)
    (alone,) = check_gates(Gates(max_bytes_after_regression=0), GateFigures(summary(), summary(), []))
    assert (alone.passed, alone.reason) == (True, NO_BASELINE)


def test_every_metric_has_a_gate_that_no_search_checks():
    names = {gate.name for gate in GATES if gate.of_baseline}
    assert names == {f"max_{metric.name}_regression" for metric in METRICS}
    limits = Gates(max_bytes_after_regression=0, max_size_ratio=0.5)
    checked = check_gates(limits, GateFigures(summary(), summary(), []), of_baseline=False)
    assert [result.name for result in checked] == ["max_size_ratio"]
