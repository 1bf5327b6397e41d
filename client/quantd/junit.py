"""The JUnit document of a command: the gates of a job, those on durations too, and its regressions."""

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from quantd.figures import Document, gate_failure
from quantd.regression import RegressionCheck


def junit_document(gates: Iterable[Document], regressions: Iterable[RegressionCheck]) -> bytes:
    """Return a JUnit document with one test suite for the gates, and one for the regressions if there are any."""
    failures = {gate["name"]: None if gate["passed"] else gate_failure(gate) for gate in gates}
    root = suite = _suite("gates", failures)
    checks = {check.name: None if check.passed else check.sentence for check in regressions}
    if checks:
        root = ElementTree.Element("testsuites")
        root.extend([suite, _suite("regressions", checks)])
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(kind: str, failures: Mapping[str, str | None]) -> ElementTree.Element:
    """Return a suite with a test case for each name; its message is None if it passed."""
    failed = sum(message is not None for message in failures.values())
    suite = ElementTree.Element("testsuite", name=f"quantd {kind}", tests=str(len(failures)), failures=str(failed))
    for name, message in failures.items():
        case = ElementTree.SubElement(suite, "testcase", classname=f"quantd.{kind}", name=name)
        if message is not None:
            ElementTree.SubElement(case, "failure", message=message)
    return suite
