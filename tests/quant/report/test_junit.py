"""The JUnit document has one test case for each gate and explains the failures."""

from xml.etree import ElementTree

from quant.outcome.gates import GateResult
from quant.outcome.task_values import TaskValue
from quant.report.junit import junit_xml

PASSED = GateResult(name="min_layer_sqnr_db", limit=10, value=12.0, passed=True)
FAILED = GateResult(name="max_size_ratio", limit=0.2, value=0.28, passed=False)


def test_failures_are_counted_and_explained():
    suite = ElementTree.fromstring(junit_xml([FAILED, PASSED]))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite.iter("testcase")] == ["max_size_ratio", "min_layer_sqnr_db"]
    assert [failure.get("message") for failure in suite.iter("failure")] == [FAILED.failure]


def test_a_job_without_gates_has_an_empty_suite():
    suite = ElementTree.fromstring(junit_xml([]))
    assert (suite.get("tests"), len(suite)) == ("0", 0)


def test_the_figures_of_the_task_are_properties():
    common = {"metric": "ctc_text", "reference": "float", "unit": "", "better": "higher", "samples": 4}
    values = [
        TaskValue(name="text_exact", output=name, value=value, **common) for name, value in (("a", 1), ("b", 0.75))
    ]
    suite = ElementTree.fromstring(junit_xml([], values))
    assert [(entry.get("name"), entry.get("value")) for entry in suite.iter("property")] == [("text_exact", "0.75")]
