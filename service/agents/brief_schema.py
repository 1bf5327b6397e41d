"""JSON Schemas for agents, who read all of them with every conversation.

They are those of the API without what costs much to read: titles, defaults that are objects, nulls that are defaults,
all but the first sentence of a description, those of the many gates, whose names say the same, and the options of
methods, which `/v1/capabilities` has. The whole model checks the arguments, so a shortened schema accepts nothing more.
"""

import re
from typing import Any

from pydantic import BaseModel

_NULL = {"type": "null"}
_NAMED = {"type": "object", "required": ["name"], "description": "The name with options."}
_REFERENCE = "#/$defs/"
_DESCRIBED = 32
"""The most properties of an object that are described."""


def brief_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the shortened JSON Schema of a model."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    brief: dict[str, Any] = _brief(schema)
    used: dict[str, Any] = {}
    waiting = _references(brief)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = _brief(definitions[name])
            waiting |= _references(used[name])
    return brief | ({"$defs": dict(sorted(used.items()))} if used else {})


def _brief(node: Any) -> Any:
    if isinstance(node, list):
        return [_brief(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "discriminator" in node:
        return {**_NAMED}
    short = {key: _brief(value) for key, value in node.items() if key not in ("title", "default", "properties")}
    if "properties" in node:  # their names are no keywords
        short["properties"] = {name: _brief(value) for name, value in node["properties"].items()}
        if len(node["properties"]) > _DESCRIBED:
            for value in short["properties"].values():
                value.pop("description", None)
    if isinstance(node.get("default"), str | int | float):
        short["default"] = node["default"]
    if "description" in short:
        short["description"] = re.split(r"(?<=\.)\s", short["description"], maxsplit=1)[0]
    if _NULL in short.get("anyOf", ()) and node.get("default", "") is None:  # elsewhere null is a choice
        branches = [branch for branch in short.pop("anyOf") if branch != _NULL]
        short = {**branches[0], **short} if len(branches) == 1 else {"anyOf": branches, **short}
    return short


def _references(node: Any) -> set[str]:
    """Return the names of the definitions that a schema refers to."""
    if isinstance(node, list):
        return set().union(*map(_references, node))
    if not isinstance(node, dict):
        return set()
    target = node.get("$ref")
    found = {target.removeprefix(_REFERENCE)} if isinstance(target, str) else set()
    return found.union(*map(_references, node.values()))
