"""The gates as JUnit XML, which CI systems display as a test suite."""

from collections.abc import Sequence
from xml.etree import ElementTree

from quant.outcome.gates import GateResult


def junit_xml(results: Sequence[GateResult]) -> bytes:
    """Return a JUnit document with one test case for each gate; a gate that failed carries a `failure` message."""
    failures = sum(not result.passed for result in results)
    suite = ElementTree.Element("testsuite", name="quantd gates", tests=str(len(results)), failures=str(failures))
    for result in results:
        case = ElementTree.SubElement(suite, "testcase", classname="quantd.gates", name=result.name)
        if not result.passed:
            ElementTree.SubElement(case, "failure", message=result.failure)
    ElementTree.indent(suite)
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"
