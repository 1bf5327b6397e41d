"""The schemas that agents read: they are short, and take what the API takes."""

import json

import pytest
from jsonschema import Draft202012Validator

from quant.spec import PRESETS
from service.agents.brief_schema import brief_schema
from service.agents.tools import TOOLS


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_a_schema_is_valid_and_short(tool):
    schema = brief_schema(tool.arguments)
    Draft202012Validator.check_schema(schema)
    assert len(json.dumps(schema)) < 30_000
    assert all("description" in entry for entry in schema["properties"].values())


def test_a_schema_takes_the_specs_of_the_api():
    validator = Draft202012Validator(brief_schema(TOOLS["quantize"].arguments))
    weights = {"bits": 4, "clipping": "mse", "grid": {"name": "apot", "terms": 2}}
    specs = (
        *({"preset": preset} for preset in PRESETS),
        {"weights": weights, "activations": None, "gates": {"max_size_ratio": 0.5}},
        {"layers": [{"match": "/head/*", "skip": True}]},
    )
    for spec in specs:
        assert [error.message for error in validator.iter_errors({"model": "model_0", "spec": spec})] == []
    assert list(validator.iter_errors({"model": "model_0", "spec": {"weights": {"bits": 9}}}))
