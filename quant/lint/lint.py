"""The lint: every rule of a profile on an exported model.

A rule is one function and one line of `RULES`. It reads a `QuantizedGraph` with the limits of the machine and yields
what the machine does not take.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from quant.graph.signature import set_map_types_aside
from quant.lint import activation_rules, graph_rules, weight_rules
from quant.lint.quantized_graph import QuantizedGraph, Violation
from quant.outcome.report.sections import TargetFinding
from quant.spec.profiles import Profile


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        code: a stable name, which findings have.
        violations: yields what breaks the rule.
        reads_values: True if the rule reads codes or scales, which a plan does not know.
    """

    code: str
    violations: Callable[[QuantizedGraph], Iterator[Violation]]
    reads_values: bool = False


RULES: Mapping[str, Rule] = {
    rule.code: rule
    for rule in (
        Rule("target.activation_type", activation_rules.types),
        Rule("target.activation_zero_point", activation_rules.zero_points),
        Rule("target.scale", activation_rules.powers_of_two, reads_values=True),
        Rule("target.shared_scale", activation_rules.shared_scales, reads_values=True),
        Rule("target.fixed_scale", activation_rules.fixed_scales, reads_values=True),
        Rule("target.weight_type", weight_rules.types),
        Rule("target.weight_form", weight_rules.forms),
        Rule("target.weight_granularity", weight_rules.granularity),
        Rule("target.weight_zero_point", weight_rules.zero_points),
        Rule("target.weight_range", weight_rules.narrow_range, reads_values=True),
        Rule("target.pair_sums", weight_rules.pair_sums, reads_values=True),
        Rule("target.bias", weight_rules.biases),
        Rule("target.float_input", graph_rules.quantized_inputs),
        Rule("target.placement", graph_rules.fused_rectifiers),
        Rule("target.float_node", graph_rules.float_nodes),
        Rule("target.opset", graph_rules.opset),
        Rule("target.dynamic_shape", graph_rules.fixed_shapes),
        Rule("target.operator", graph_rules.refused),
    )
}
"""Every rule by its code."""


def lint(exported: bytes, profile: Profile, *, placeholders: bool = False) -> tuple[TargetFinding, ...]:
    """Return what an exported model has that the machine of a profile does not take.

    Equal violations of one rule are one finding that names all layers or tensors.

    Args:
        exported: the bytes of the model.
        profile: the profile.
        placeholders: True if codes and scales are placeholders; rules that read them are left out.
    """
    if profile.limits == type(profile.limits)():
        return ()
    proto = onnx.load_model_from_string(exported)
    set_map_types_aside(proto)
    graph = QuantizedGraph(ir.from_proto(proto), profile.limits)
    names: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for rule in RULES.values():
        for violation in () if rule.reads_values and placeholders else rule.violations(graph):
            names[rule.code, violation.detail, violation.accepted][violation.name] = None
    return tuple(
        TargetFinding(code=code, names=tuple(broken), detail=detail, accepted=accepted, source=profile.source)
        for (code, detail, accepted), broken in names.items()
    )


def texts(findings: tuple[TargetFinding, ...], profile: Profile) -> list[str]:
    """Return the findings as sentences, for the report's `warnings`."""
    return [
        f"{profile.name}: {finding.detail} ({_listed(finding.names)}); accepted: {finding.accepted}"
        for finding in findings
    ]


def _listed(names: tuple[str, ...]) -> str:
    """Return the first names and the number of the others."""
    first = ", ".join(names[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
