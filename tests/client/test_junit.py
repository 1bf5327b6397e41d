"""The JUnit document of a command."""

from xml.etree import ElementTree

from quant.outcome.gates import GateResult
from quant.report.junit import junit_xml
from quantd.junit import junit_document
from quantd.regression import check_regressions
from tests.quant.outcome.summaries import summary

GATES = [
    {"name": "max_size_ratio", "limit": 0.3, "value": 0.25, "passed": True},
    {"name": "max_latency_ratio", "limit": 0.5, "value": 0.9, "passed": False},
]


def test_the_gates_are_those_of_the_stored_document():
    unmeasured = {"name": "min_output_sqnr_db", "limit": 20, "value": None, "passed": False}
    gates = [*GATES, unmeasured]
    assert junit_document(gates, []) == junit_xml([GateResult.model_validate(gate) for gate in gates])


def test_gates_on_durations_are_test_cases_too():
    suite = ElementTree.fromstring(junit_document(GATES, []))
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "2", "1")
    assert suite.find("testcase[@name='max_latency_ratio']/failure") is not None


def test_regressions_are_a_suite_of_their_own():
    limits = {"weight_sqnr_db": 0.5, "bytes_after": 0}
    before, after = (summary(weight_sqnr_db=value).model_dump(mode="json") for value in (30.0, 29.0))
    checks = check_regressions(limits, before, after, same_evaluation=True)
    gates, regressions = ElementTree.fromstring(junit_document(GATES, checks))
    assert gates.get("name") == "quantd gates"
    assert (regressions.get("tests"), regressions.get("failures")) == ("2", "1")
    (failure,) = regressions.findall("testcase/failure")
    assert "1 dB worse than the baseline's 30 dB" in failure.get("message")
