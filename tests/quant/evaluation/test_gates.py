"""Gates compare what was measured with the limit; a figure that does not exist fails."""

from xml.etree import ElementTree

import pytest

from quant.evaluation.gates import check_gates, junit_xml, verdict
from quant.spec import Gates

SUMMARY = {
    "output_sqnr_db": 25.0,
    "top1_float": 90.0,
    "top1_quantized": 89.5,
    "top1_agreement": 0.97,
    "size_ratio": 0.28,
}
LAYERS = [{"weight": {"sqnr_db": 30.0}}, {"weight": {"sqnr_db": 12.0}}]


@pytest.mark.parametrize(
    ("gate", "limit", "value", "passed"),
    [
        ("min_output_sqnr_db", 25.0, 25.0, True),
        ("min_output_sqnr_db", 25.1, 25.0, False),
        ("max_top1_drop_points", 0.5, 0.5, True),
        ("max_top1_drop_points", 0.4, 0.5, False),
        ("min_top1_agreement", 0.98, 0.97, False),
        ("max_size_ratio", 0.3, 0.28, True),
        ("min_layer_sqnr_db", 13.0, 12.0, False),
    ],
)
def test_a_gate_holds_by_the_measured_value(gate, limit, value, passed):
    (result,) = check_gates(Gates(**{gate: limit}), SUMMARY, LAYERS)
    assert (result.name, result.limit, result.value, result.passed) == (gate, limit, value, passed)
    assert verdict([result]) == ("pass" if passed else "fail")


def test_a_figure_that_was_not_measured_fails_its_gate():
    (result,) = check_gates(Gates(min_top1_agreement=0.9), SUMMARY | {"top1_agreement": None}, LAYERS)
    assert result.value is None
    assert not result.passed


def test_without_gates_there_is_no_verdict():
    assert verdict(check_gates(Gates(), SUMMARY, LAYERS)) is None


def test_junit_counts_and_explains_failures():
    results = check_gates(Gates(max_size_ratio=0.2, min_layer_sqnr_db=10), SUMMARY, LAYERS)
    suite = ElementTree.fromstring(junit_xml(results))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    messages = [failure.get("message") for failure in suite.iter("failure")]
    assert messages == ["max_size_ratio: limit 0.2, found 0.28, fails by 0.08"]
