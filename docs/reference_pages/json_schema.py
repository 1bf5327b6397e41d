"""Tables of the properties of a JSON Schema that pydantic wrote."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docs.reference_pages.markdown import anchor, code, document, prose, table

Schema = Mapping[str, Any]
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minItems": "entries: at least",
    "maxItems": "entries: at most",
    "maxProperties": "entries: at most",
}


def sections(schema: Schema, title: str, header: Sequence[str]) -> str:
    """Return a heading with a table for the schema itself and for each object that it refers to, breadth first.

    Args:
        schema: the schema, with `$defs`.
        title: the heading of the schema itself.
        header: the names of the columns: property, values, default if there are four, and meaning.
    """
    definitions = schema["$defs"]
    parts = [document(f"## {title}", _table(schema, header, definitions))]
    methods: dict[tuple[str, ...], str] = {}
    names = list(_references(schema))
    for name in names:  # grows in the loop
        definition = definitions[name]
        names += [other for other in _references(definition) if other not in names]
        if not _is_method(definition):
            values = _table(definition, header, definitions) if "properties" in definition else _kind(definition)
            parts.append(document(f"## {name}", prose(definition["description"]), values))
        for heading, members in _unions(definition):
            methods.setdefault(members, heading)
    for members, heading in methods.items():
        parts.append(document(f"## {heading}", _methods([definitions[member] for member in members])))
    return document(*parts)


def _table(schema: Schema, header: Sequence[str], definitions: Schema) -> str:
    rows = (
        [
            code(name), _kind(each) + _unit(each), *([_default(each)] if len(header) == 4 else []),
            prose(each.get("description") or definitions[next(_references(each))]["description"]),
        ]
        for name, each in schema["properties"].items()
    )  # fmt: skip
    return table(header, rows)


def _methods(definitions: list[Schema]) -> str:
    rows = []
    for definition in definitions:
        options = {name: each for name, each in definition["properties"].items() if name != "name"}
        listed = "; ".join(
            f"{code(name)} ({_kind(each)}; {_default(each)}): {prose(each['description'])}"
            for name, each in options.items()
        )
        rows.append([code(definition["properties"]["name"]["const"]), prose(definition["description"]), listed])
    return table(["name", "meaning", "options (accepted; default)"], rows)


def _is_method(definition: Schema) -> bool:
    return "const" in definition.get("properties", {}).get("name", {})


def _references(node: Any) -> Iterator[str]:
    """Yield the names of the definitions that a schema refers to, without those in `$defs` and `discriminator`."""
    if isinstance(node, Mapping):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for key, value in node.items():
            if key not in ("$defs", "discriminator"):
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _unions(definition: Schema) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the heading and the members of each choice of methods."""
    for name, each in definition.get("properties", {}).items():
        for branch in [*each.get("anyOf", []), *(inner for outer in each.get("anyOf", []) for inner in _items(outer))]:
            if "discriminator" in branch:
                yield f"{definition['title']}: {name}", tuple(_references(branch["oneOf"]))


def _items(schema: Schema) -> list[Schema]:
    return list(schema.get("items", {}).get("anyOf", []))


def _kind(schema: Schema) -> str:
    """Return the accepted values in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{anchor(name)})"
    if "const" in schema:
        return code(_json(schema["const"]))
    if "enum" in schema:
        return ", ".join(code(_json(value)) for value in schema["enum"])
    if "discriminator" in schema:
        return "`{name: ..., ...}` with options"
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(branch) for branch in branches))
    kinds = {
        "array": f"list of {_kind(schema['items'])}" if "items" in schema else "list",
        "object": f"mapping to {_kind(schema['additionalProperties'])}"
        if isinstance(schema.get("additionalProperties"), Mapping)
        else "mapping",
        "null": "`null`",
    }
    kind = kinds.get(schema.get("type", ""), schema.get("type", "any value"))
    bounds = [f"{words} {schema[key]}" for key, words in BOUNDS.items() if key in schema]
    return ", ".join([kind, *bounds])


def _unit(schema: Schema) -> str:
    return f" ({schema['x-unit']})" if "x-unit" in schema else ""


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return "required"
    default = schema["default"]
    if isinstance(default, Mapping) and default:
        given = {name: value for name, value in default.items() if value is not None}
        return code(given["name"]) if set(given) == {"name"} else "as below"
    return code(_json(default))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
