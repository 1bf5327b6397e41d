"""The capabilities document: everything that a spec may ask of this version."""

from dataclasses import asdict
from typing import Any

from quant.data.formats import FORMATS
from quant.methods import registry
from quant.spec.document import Spec
from quant.spec.profiles import PROFILES
from quant.spec.resolve import PRESET_DESCRIPTIONS, PRESETS


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a spec as callers write it."""
    return Spec.model_json_schema()


def capabilities() -> dict[str, Any]:
    """Return bits, granularities, methods and presets of this version, and the JSON Schema of its specs."""
    return {
        "weight_bits": [8, 7, 6, 5, 4, 3, 2],
        "activation_bits": [8, 16],
        "granularities": ["tensor", "channel", "block", "auto"],
        "grids": registry.describe_grids(),
        "clipping": registry.describe_clip_rules(),
        "roundings": registry.describe_roundings(),
        "activation_clipping": registry.describe_range_rules(),
        "distributions": registry.describe_distributions(),
        "task_metrics": registry.describe_task_metrics(),
        "presets": PRESETS,
        "preset_descriptions": PRESET_DESCRIPTIONS,
        "dataset_formats": [asdict(dataset_format) for dataset_format in FORMATS],
        "profiles": [
            {
                "name": profile.name,
                "description": profile.description,
                "options": profile.options,
                "source": profile.source or None,
            }
            for profile in PROFILES.values()
        ],
        "spec_schema": json_schema(),
    }
