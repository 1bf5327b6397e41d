"""The base of the plug-ins that a spec selects by name and configures."""

from typing import Any

from pydantic import BaseModel, ConfigDict


def _keep_summary(schema: dict[str, Any]) -> None:
    """Shorten the schema's description to the docstring's first line: callers need no formulas."""
    schema["description"] = schema.get("description", "").split("\n")[0]


class PlugIn(BaseModel):
    """An immutable value: the plug-in's name and its options."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, json_schema_extra=_keep_summary)
