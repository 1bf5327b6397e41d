"""The published JSON Schema is that of the models, and describes every field."""

import json

from docs import report_schema
from quant.outcome.report.schema import report_schema as schema


def test_the_published_schema_is_up_to_date():
    assert report_schema.PATH.read_text() == report_schema.text(), "run python -m docs.report_schema"


def test_every_field_of_the_report_is_described():
    definitions = {"Report": schema(), **schema()["$defs"]}
    silent = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        for field, content in definition.get("properties", {}).items()
        if not content.get("description")
    ]
    assert not [field for field in silent if not field.startswith(("Latency.", "Timing."))]


def test_the_schema_names_its_version():
    document = json.loads(report_schema.text())
    assert document["$id"].endswith(document["properties"]["schema_version"]["const"])
