"""The JSON Schema of report.json."""

from typing import Any

from quant.outcome.report.document import SCHEMA_VERSION, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of the report; `x-unit` names the unit of a figure."""
    schema = Report.model_json_schema(mode="serialization")
    return {"$schema": DIALECT, "$id": f"urn:quantd:report:{SCHEMA_VERSION}", **schema}
