"""The gates as JUnit XML, which CI systems display as a test suite."""

from collections.abc import Sequence
from xml.etree import ElementTree

from quant.outcome.gates import GateResult
from quant.outcome.task_values import TaskValue, worst_entries


def junit_xml(results: Sequence[GateResult], values: Sequence[TaskValue] = ()) -> bytes:
    """Return a JUnit document with one test case for each gate.

    A gate that failed carries a `failure` message, and one that was not judged is `skipped`.
    The figures of the model's task, those of the worst output, are properties of the suite.
    """
    failures = sum(not result.passed for result in results)
    suite = ElementTree.Element("testsuite", name="quantd gates", tests=str(len(results)), failures=str(failures))
    measured = [entry for entry in worst_entries(values) if entry.value is not None]
    if measured:
        properties = ElementTree.SubElement(suite, "properties")
        for entry in measured:
            ElementTree.SubElement(properties, "property", name=entry.name, value=f"{entry.value:.6g}")
    for result in results:
        case = ElementTree.SubElement(suite, "testcase", classname="quantd.gates", name=result.name)
        if result.reason is not None:
            ElementTree.SubElement(case, "skipped", message=result.reason)
        elif not result.passed:
            ElementTree.SubElement(case, "failure", message=result.failure)
    ElementTree.indent(suite)
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"
