"""The JUnit document of a command: the gates of a job, those on durations too, and its regressions."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from quant.outcome.gates import GateResult
from quant.outcome.regression import RegressionCheck
from quant.report.junit import junit_xml


def junit_document(gates: Sequence[GateResult], regressions: Iterable[RegressionCheck]) -> bytes:
    """Return a JUnit document with one test suite for the gates, and one for the regressions if there are any."""
    checks = list(regressions)
    if not checks:
        return junit_xml(gates)
    suites = ElementTree.Element("testsuites")
    suites.append(ElementTree.fromstring(junit_xml(gates)))
    failures = sum(not check.passed for check in checks)
    suite = ElementTree.SubElement(
        suites, "testsuite", name="quantd regressions", tests=str(len(checks)), failures=str(failures)
    )
    for check in checks:
        case = ElementTree.SubElement(suite, "testcase", classname="quantd.regressions", name=check.name)
        if not check.passed:
            ElementTree.SubElement(case, "failure", message=check.sentence)
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"
