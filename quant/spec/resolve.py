"""Specs as callers write them: presets and defaults are filled in, and every fault has a JSON pointer."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from quant.errors import FieldError, SpecError
from quant.outcome.gates import GATES
from quant.spec.document import Spec
from quant.spec.profiles import PROFILES
from quant.spec.unknown_keys import unknown_key
from quant.texts import closest, shortened


def _allocated(bits: int, mean_bits: float | None = None) -> dict[str, Any]:
    """Return the options of a preset whose formats a search decides.

    Args:
        bits: the bits of layers that the search leaves alone, and those that a plan shows.
        mean_bits: the budget; None for no budget.
    """
    return {
        "weights": {"bits": bits, "grid": "auto", "rounding": "auto"},
        "activations": {"bits": 8, "without_data": "float"},
        "export": {"opset": 25},
        **({} if mean_bits is None else {"budget": {"mean_bits": mean_bits}}),
    }


PRESETS: dict[str, dict[str, Any]] = {
    "int8": {
        "weights": {"bits": 8, "rounding": "auto"},
        "activations": {"bits": 8, "mode": "auto"},
        "keep_float": "auto",
    },
    "int8-weights": {"weights": {"bits": 8, "rounding": "auto"}, "activations": None, "keep_float": "auto"},
    "small": _allocated(4, mean_bits=4),
    "smaller": _allocated(3, mean_bits=3),
    "smallest": _allocated(2, mean_bits=2.3),
    "auto": {
        **_allocated(8),
        "activations": {"bits": 8},
        "objective": "smallest_within_gates",
        "gates": {"min_output_sqnr_db": 20},
    },
    "int4": {"weights": {"bits": 4, "rounding": "auto"}, "activations": {"bits": 8}},
    "int4-weights": {
        "weights": {"bits": 4, "granularity": "auto", "symmetric": False, "tables": "int8", "rounding": "auto"},
        "activations": None,
    },
    "codebook4": {"weights": {"bits": 4, "grid": "kmeans"}, "activations": {"bits": 8}},
    "ternary": {"weights": {"bits": 2, "grid": "ternary_optimal"}, "activations": {"bits": 8}, "export": {"opset": 25}},
    "fp16": {"precision": "fp16", "activations": None},
}
"""The options that each preset sets if the caller does not; presets without activations are weight-only."""
PRESET_DESCRIPTIONS: dict[str, str] = {
    "int8": "8-bit weights and activations: the fastest on CPUs, and the usual choice. Needs calibration data.",
    "int8-weights": "8-bit weights, activations stay in float: the least error, and no data needed. Saves size, "
    "not time.",
    "small": "2 to 8 bits and the best grid for each layer, in the size of 4-bit weights; 8-bit activations: half the "
    "size of int8 with little more error. Without calibration data, activations stay in float and the error is larger.",
    "smaller": "As small, in the size of 3-bit weights.",
    "smallest": "As small, in 1.15 times the size of 2-bit weights: use it where size matters most.",
    "auto": "The bits and the grid for each layer that make the file smallest while the outputs pass the gates: yours, "
    "or an SQNR of 20 dB. Needs calibration and evaluation data.",
    "int4": "4-bit weights for every layer, 8-bit activations: half the size of int8, with more error than small. "
    "Needs calibration data.",
    "int4-weights": "4-bit weights, those of MatMul and Gemm in blocks of 32, 8-bit tables, and activations in float: "
    "for models whose size is dominated by their weights, such as language models. Needs no data; data make it better.",
    "codebook4": "4-bit weights with 16 levels placed by k-means, 8-bit activations: for weights that evenly spaced "
    "levels fit badly. Needs calibration data.",
    "ternary": "Three levels for each weight, 8-bit activations: the smallest, with a large error unless the model was "
    "trained for it. Needs calibration data.",
    "fp16": "Weights and activations in float16: half the size with almost no error, for GPUs and NPUs; CPUs compute "
    "in float32. Needs no data; calibration data find the values that float16 cannot hold.",
}
"""The use of each preset, for people who choose one."""


def resolve(raw: Mapping[str, Any]) -> Spec:
    """Return the spec with its preset and defaults filled in.

    Raises:
        SpecError: a key is unknown or a value is impossible; `errors` has a JSON pointer for each fault.
    """
    preset = raw.get("preset", "int8")
    defaults = _for_search(PRESETS.get(preset, {}) if isinstance(preset, str) else {}, raw)
    defaults = _merge(defaults, _profile_options(raw.get("export"), activations=bool(defaults.get("activations"))))
    try:
        return Spec.model_validate(_merge(defaults, raw))
    except ValidationError as error:
        faults = [FieldError(_pointer(raw, e["loc"]), _detail(e)) for e in error.errors(include_url=False)]
        listed = "; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults)
        raise SpecError(f"the spec is not valid: {listed}", faults) from None


def _for_search(defaults: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset's options with those that a search needs: its grids where none is named, and the caller's gates.

    A caller's budget takes the place of the preset's, and a caller's gates on quality that of the preset's gates.
    """
    searches = raw.get("budget") is not None or raw.get("objective", "fixed") != "fixed"
    if searches and "grid" not in defaults.get("weights", {}) and defaults.get("weights"):
        defaults = _merge({"weights": {"grid": "auto"}}, defaults)
    gates = raw.get("gates")
    judged = isinstance(gates, Mapping) and any(
        gate.judges_quality and gates.get(gate.name) is not None for gate in GATES
    )
    replaced = {"budget": raw.get("budget") is not None, "gates": judged}
    return {key: value for key, value in defaults.items() if not replaced.get(key, False)}


def _detail(fault: ErrorDetails) -> str:
    """Return the description of a fault, with the accepted name that a misspelled one is like."""
    if fault["type"] == "extra_forbidden":
        return unknown_key(fault["loc"])
    context = fault.get("ctx", {})
    names = re.findall("'([^']*)'", str(context.get("expected") or context.get("expected_tags") or ""))
    sent = context.get("tag", fault["input"])
    return fault["msg"] + (closest(shortened(sent), names) if isinstance(sent, str) else "")


def _profile_options(export: Any, *, activations: bool) -> Mapping[str, Any]:
    """Return the options that the profile of an export section sets, those of activations only if asked for."""
    name = export.get("profile") if isinstance(export, Mapping) else None
    options = PROFILES[name].options if isinstance(name, str) and name in PROFILES else {}
    return {key: value for key, value in options.items() if key != "activations" or activations}


def _merge(defaults: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in raw.items():
        default = merged.get(key)
        nested = isinstance(default, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(default, value) if nested and isinstance(default, Mapping) else value
    return merged


def _pointer(raw: Any, location: Sequence[str | int]) -> str:
    """Return the RFC 6901 pointer for a pydantic location, which also contains tags of union members."""
    parts: list[str | int] = []
    here = raw
    for position, part in enumerate(location, 1):
        if isinstance(here, Mapping):
            known = part in here
        else:
            known = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        if known:
            here = here[part]
        elif not (isinstance(here, Mapping) and position == len(location)):
            continue
        parts.append(part)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
