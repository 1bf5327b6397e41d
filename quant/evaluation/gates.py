"""Gates: what the quantized model must reach for a build to pass, and the verdict as JUnit XML."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from quant.spec import Gates

Verdict = Literal["pass", "fail"] | None


@dataclass(frozen=True)
class GateResult:
    """One gate: its limit, the value that was measured (None where it does not exist), and whether it holds."""

    name: str
    limit: float
    value: float | None
    passed: bool

    @property
    def failure(self) -> str:
        """What was found and by how much that misses the limit."""
        if self.value is None:
            return f"{self.name}: limit {self.limit:g}, not measured"
        return f"{self.name}: limit {self.limit:g}, found {self.value:.6g}, fails by {abs(self.value - self.limit):.3g}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_gates(gates: Gates, summary: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> list[GateResult]:
    """Every gate that the spec sets; a value that does not exist fails its gate."""
    measured = _measured(summary, layers)
    results = []
    for name, limit in gates.model_dump(exclude_none=True).items():
        value = measured[name]
        holds = value is not None and (value >= limit if name.startswith("min_") else value <= limit)
        results.append(GateResult(name, float(limit), value, holds))
    return results


def verdict(results: Sequence[GateResult]) -> Verdict:
    """None without gates."""
    if not results:
        return None
    return "pass" if all(result.passed for result in results) else "fail"


def junit_xml(results: Sequence[GateResult]) -> bytes:
    """The gates as a JUnit test suite, a gate a test case, as CI systems read it."""
    failures = sum(not result.passed for result in results)
    suite = ElementTree.Element("testsuite", name="quantd gates", tests=str(len(results)), failures=str(failures))
    for result in results:
        case = ElementTree.SubElement(suite, "testcase", classname="quantd.gates", name=result.name)
        if not result.passed:
            ElementTree.SubElement(case, "failure", message=result.failure)
    ElementTree.indent(suite)
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _measured(summary: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    before, after = summary["top1_float"], summary["top1_quantized"]
    return {
        "min_output_sqnr_db": summary["output_sqnr_db"],
        "max_top1_drop_points": None if before is None else before - after,
        "min_top1_agreement": summary["top1_agreement"],
        "max_size_ratio": summary["size_ratio"],
        "min_layer_sqnr_db": min((layer["weight"]["sqnr_db"] for layer in layers), default=None),
    }
