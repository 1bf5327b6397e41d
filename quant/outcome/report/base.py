"""The base of the report's models, and the units of their figures.

The unit of a figure is published in the JSON Schema as `x-unit`. A figure that cannot be formed is null, and a field
beside it says why. NaN and infinity are null in JSON.
"""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class ReportModel(BaseModel):
    """A part of the report: unknown keys are refused, and values cannot change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="null", protected_namespaces=()
    )


def _unit(unit: str) -> Any:
    return Field(json_schema_extra={"x-unit": unit})


def _null_if_not_finite(value: Any) -> Any:
    """Return None for NaN and infinity, such as a moment that a fitted distribution does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Figure = Annotated[float | None, BeforeValidator(_null_if_not_finite)]
"""A number without a unit; null where it cannot be formed or is not finite."""
Decibels = Annotated[float, _unit("dB")]
"""A ratio of energies in decibels."""
Share = Annotated[float, _unit("fraction")]
"""A share or a ratio as a fraction, not in percent."""
Bytes = Annotated[int, _unit("bytes")]
"""A number of bytes."""
WeightUnit = Annotated[float, _unit("the weight's unit")]
"""A number in the unit of the layer's weights."""
Relative = Annotated[float, _unit("bound")]
"""A number in units of the clip bound that was chosen for the row, so that 1 is that bound."""
