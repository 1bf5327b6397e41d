"""Lines of YAML for the spec that change one layer."""

import glob
import json
from collections.abc import Mapping
from typing import Any

from quant.spec.document import Spec


def layer_rule_lines(spec: Spec, name: str, op: str, change: Mapping[str, Any] | None) -> str:
    """Return a rule for exactly one layer, as lines of YAML; it belongs before all other rules of `layers`.

    The options of the rule that applied to the layer before are kept.

    Args:
        spec: the spec to change.
        name: the layer's name; special characters of a glob are escaped.
        op: the layer's operator.
        change: the weight options to change; None to leave the layer in float.
    """
    match = f"layers:\n  - match: {_quoted(glob.escape(name))}\n"
    if change is None:
        return f"{match}    skip: true\n"
    applied = next((rule for rule in spec.layers if rule.matches(name, op)), None)
    options = {} if applied is None else applied.weights.model_dump(mode="json", exclude_none=True)
    listed = ", ".join(f"{key}: {json.dumps(value)}" for key, value in {**options, **change}.items())
    return f"{match}    weights: {{{listed}}}\n"


def _quoted(text: str) -> str:
    """Return a text as a double-quoted YAML scalar; what YAML may not hold as it is, is escaped."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(plain)}"'
