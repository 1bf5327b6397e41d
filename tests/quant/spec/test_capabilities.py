"""The capabilities follow the registries, and the schema describes every option."""

from quant.spec import capabilities, json_schema


def test_capabilities_follow_the_registries():
    document = capabilities()
    assert {"minmax", "mae", "mse"} <= {rule["name"] for rule in document["clipping"]}
    entries = document["clipping"] + document["distributions"] + document["grids"] + document["task_metrics"]
    assert all(entry["description"] for entry in entries)


def test_every_option_of_the_schema_is_described():
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        assert section["description"], section["title"]
        for name, option in section["properties"].items():
            if "$ref" in option:  # pydantic leaves out a description that is the section's own
                option = option | schema["$defs"][option["$ref"].split("/")[-1]]
            assert option.get("description") or name == "name", (section["title"], name)
