"""The JUnit document of a command."""

from xml.etree import ElementTree

from quant.outcome.gates import GateResult
from quant.outcome.regression import check_regressions
from quant.outcome.summary import UNMEASURED, LayerFigures, SizeFigures, Summary
from quantd.junit import junit_document

GATES = [
    GateResult(name="max_size_ratio", limit=0.3, value=0.25, passed=True),
    GateResult(name="max_latency_ratio", limit=0.5, value=0.9, passed=False),
]


def summary(sqnr_db):
    sizes, layers = SizeFigures.of(1000, 250), LayerFigures(layers=2, quantized_layers=2, weight_sqnr_db=sqnr_db)
    return Summary.model_validate(
        sizes.model_dump() | layers.model_dump() | UNMEASURED.model_dump() | {"seconds": None}
    )


def test_gates_on_durations_are_test_cases_too():
    suite = ElementTree.fromstring(junit_document(GATES, []))
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "2", "1")
    assert suite.find("testcase[@name='max_latency_ratio']/failure") is not None


def test_regressions_are_a_suite_of_their_own():
    limits = {"weight_sqnr_db": 0.5, "bytes_after": 0}
    checks = check_regressions(limits, summary(30.0), summary(29.0), same_evaluation=True)
    gates, regressions = ElementTree.fromstring(junit_document(GATES, checks))
    assert gates.get("name") == "quantd gates"
    assert (regressions.get("tests"), regressions.get("failures")) == ("2", "1")
    (failure,) = regressions.findall("testcase/failure")
    assert "1 dB worse than the baseline's 30 dB" in failure.get("message")
