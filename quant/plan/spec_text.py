"""A resolved spec as YAML to edit, with a commented rule for each layer."""

import glob
import textwrap
from collections.abc import Sequence
from typing import Any

import yaml

from quant.outcome.plan import PlannedLayer
from quant.spec import Spec

MAX_RULES = 200
"""Layers that get a commented rule: those with the least SQNR, in the order of the network."""
_ORIGIN = (
    "# The spec with its preset and defaults filled in. `layers` takes rules; the first that matches a layer applies."
)
_RULES = "# Rules for single layers: remove the sign before a line, and give the bits, or `skip: true` for float."


def spec_document(spec: Spec) -> dict[str, Any]:
    """Return a resolved spec as JSON values that resolve to the same spec; rules hold only the options they set."""
    rules = [rule.model_dump(mode="json", exclude_unset=True) for rule in spec.layers]
    return {**spec.model_dump(mode="json", exclude={"layers"}), "layers": rules}


def editable_spec(spec: Spec, layers: Sequence[PlannedLayer]) -> str:
    """Return the spec as YAML that resolves to the same spec, with a commented rule for each layer.

    Args:
        spec: the resolved spec.
        layers: the layers that a job quantizes by it.
    """
    document = spec_document(spec)
    rules = document.pop("layers")
    lines = [_ORIGIN, _yaml(document), "layers:" if rules else "layers: []"]
    if rules:
        lines.append(textwrap.indent(_yaml(rules), "  "))
    lines.append(_RULES if rules else f"{_RULES} Remove the `[]` above then.")
    return "\n".join([*lines, *map(_rule, _listed(layers)), ""])


def _listed(layers: Sequence[PlannedLayer]) -> list[PlannedLayer]:
    """Return the layers to list: all, or the ones with the least SQNR."""
    worst = sorted(range(len(layers)), key=lambda number: layers[number].weight.sqnr_db or 0.0)[:MAX_RULES]
    return [layers[number] for number in sorted(worst)]


def _rule(layer: PlannedLayer) -> str:
    """Return a commented rule that matches this layer alone; escapes keep its name on the line."""
    match = yaml.safe_dump(glob.escape(layer.name), default_style='"', width=float("inf")).strip()
    figure = "" if layer.weight.sqnr_db is None else f", {layer.weight.sqnr_db:.1f} dB"
    return f"#  - {{match: {match}, weights: {{bits: {layer.bits}}}}}  # {layer.op}, {layer.bytes_after} bytes{figure}"


def _yaml(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100).rstrip()
