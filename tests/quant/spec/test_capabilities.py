"""The capabilities follow the registries, and the schema describes every option."""

import jsonschema
import pytest

from quant.spec import capabilities, json_schema, resolve


def test_capabilities_follow_the_registries():
    document = capabilities()
    assert {"minmax", "mae", "mse"} <= {rule["name"] for rule in document["clipping"]}
    entries = document["clipping"] + document["distributions"] + document["grids"] + document["task_metrics"]
    assert all(entry["description"] for entry in entries)


@pytest.mark.parametrize(
    "spec",
    [
        {"weights": {"bits": 4, "clipping": "mse", "grid": "kmeans"}, "activations": {"clipping": "entropy"}},
        {"weights": {"clipping": {"name": "percentile", "q": 99.9}, "rounding": {"name": "nearest"}}},
        {"evaluation": {"metrics": ["ctc_text", {"name": "detection"}]}},
    ],
)
def test_the_schema_takes_a_method_by_its_name_and_with_its_options(spec):
    jsonschema.validate(spec, json_schema())
    resolve(spec)


def test_every_option_of_the_schema_is_described():
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        assert section["description"], section["title"]
        for name, option in section["properties"].items():
            if "$ref" in option:  # pydantic leaves out a description that is the section's own
                option = option | schema["$defs"][option["$ref"].split("/")[-1]]
            assert option.get("description") or name == "name", (section["title"], name)
