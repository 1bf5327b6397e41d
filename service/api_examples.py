"""Examples for the OpenAPI document: documents of real jobs, of which every schema and property shows its part.

`python -m docs.api_examples` records them in `api_examples.json` by the name of their schema: whole documents, and
parts that the example model does not lead to.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

PREFIX = "#/components/schemas/"
LONGEST = 200
"""The longest example of a property, in characters of JSON."""
PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
PLAIN_VALUES = {
    "string": "text", "boolean": True, "integer": 1, "number": 0.5, "array": [], "object": {}, "null": None,
}  # fmt: skip
JSON = "application/json"

Schema = dict[str, Any]


def add_examples(document: dict[str, Any]) -> None:
    """Add an example to the JSON bodies of an OpenAPI document, and to the properties of its schemas."""
    recorded = json.loads((files(__package__) / "api_examples.json").read_text())
    schemas = document["components"]["schemas"]
    documents = recorded["documents"]
    for name, examples in (*documents.items(), *((name, [part]) for name, part in recorded["parts"].items())):
        for example in examples:
            _show_parts(schemas[name], example, schemas)
    for schema in schemas.values():
        for option in schema.get("properties", {}).values():
            if is_plain(option) and "examples" not in option:
                option["examples"] = [next(_values(option))]
    for path in (*document["paths"].values(), *document["webhooks"].values()):
        for operation in path.values():
            for body in (operation.get("requestBody", {}), *operation["responses"].values()):
                media = body.get("content", {}).get(JSON, {})
                name = media.get("schema", {}).get("$ref", "").removeprefix(PREFIX)
                if name in documents:
                    media["example"] = documents[name][0]


def is_plain(option: Schema) -> bool:
    """Return True if a property holds a value whose parts have no schema of their own, so that it needs an example."""
    if "$ref" in option or "discriminator" in option:
        return False
    branches = [*option.get("anyOf", ()), *option.get("oneOf", ())]
    inside = [part for key in ("items", "additionalProperties") if isinstance(part := option.get(key), dict)]
    return all(is_plain(part) for part in (*branches, *inside))


def _show_parts(schema: Schema, value: Any, schemas: dict[str, Schema]) -> None:
    """Give every property of a schema that has no example yet its part of a value."""
    schema = branch_of(schema, value, schemas)
    if isinstance(value, dict):
        for key, part in value.items():
            option = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if not isinstance(option, dict):
                continue
            _show_parts(option, part, schemas)
            if is_plain(option) and part is not None and len(json.dumps(part)) <= LONGEST:
                option.setdefault("examples", [part])
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for part in value:
            _show_parts(schema["items"], part, schemas)


def branch_of(schema: Schema, value: Any, schemas: dict[str, Schema]) -> Schema:
    """Return the schema that a value has among those of a reference or a union."""
    if "$ref" in schema:
        return branch_of(schemas[schema["$ref"].removeprefix(PREFIX)], value, schemas)
    if "discriminator" in schema and isinstance(value, dict):
        return schemas[schema["discriminator"]["mapping"][value["name"]].removeprefix(PREFIX)]
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        inner = branch_of(branch, value, schemas)
        if inner.get("type") == PLAIN.get(type(value)):
            return inner
    return schema


def _values(option: Schema) -> Iterator[Any]:
    """Yield values that a property's schema names or allows."""
    if option.get("default") is not None:
        yield option["default"]
    for part in option.get("anyOf", (option,)):
        yield from part.get("enum", ())
        if "const" in part:
            yield part["const"]
        kind = part.get("type", "null")
        yield max(PLAIN_VALUES[kind], part.get("minimum", 0)) if kind in ("number", "integer") else PLAIN_VALUES[kind]
