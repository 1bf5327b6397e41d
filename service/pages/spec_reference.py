"""The keys of a spec with their meaning, from its JSON Schema, for people who write one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from quant.spec import json_schema


@dataclass(frozen=True)
class SpecKey:
    """A key: its path, such as `weights.bits` or `layers[].match`; the accepted values; the default; a description."""

    path: str
    accepted: str
    default: str
    description: str


@cache
def spec_keys() -> tuple[SpecKey, ...]:
    """Return every key of a spec but `preset` and `gates`, which have fields of their own."""
    schema = json_schema()
    definitions = schema["$defs"]
    keys: list[SpecKey] = []
    for name, option in schema["properties"].items():
        if name not in ("preset", "gates"):
            keys += _keys(name, option, definitions)
    return tuple(keys)


def _keys(path: str, option: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[SpecKey]:
    """Return an option, or the options of its section if it is one."""
    section = _section(option, definitions)
    own = SpecKey(path, _accepted(option, definitions), _default(option), _description(option, definitions))
    if section is None:
        return [own]
    inside = f"{path}[]." if option.get("type") == "array" else f"{path}."
    below = [key for name, part in section["properties"].items() for key in _keys(inside + name, part, definitions)]
    return [own, *below] if own.accepted else below


def _section(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the section that an option holds; None for a plain value or a choice among methods."""
    references = [
        part["$ref"] for part in (option, *option.get("anyOf", ()), option.get("items", {})) if "$ref" in part
    ]
    return definitions[references[0].split("/")[-1]] if len(references) == 1 else None


def _accepted(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return the accepted values in words; "" for a section."""
    if "discriminator" in option:
        return ", ".join(option["discriminator"]["mapping"])
    if "enum" in option:
        return ", ".join(map(_value, option["enum"]))
    if "const" in option:
        return _value(option["const"])
    if option.get("type") == "array":
        section = _section(option, definitions)
        items = option["items"] if "items" in option else option["prefixItems"][0]  # the parts of a tuple are alike
        return "a list" if section else f"a list of {_accepted(items, definitions) or 'values'}"
    if isinstance(option.get("additionalProperties"), dict):
        return f"a mapping to {_accepted(option['additionalProperties'], definitions)}"
    parts = [_accepted(part, definitions) for part in option.get("anyOf", option.get("oneOf", ()))]
    if parts:
        return " or ".join(dict.fromkeys(part for part in parts if part))
    return _plain_type(option)


def _plain_type(option: Mapping[str, Any]) -> str:
    names = {
        "integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text", "null": "null",
    }  # fmt: skip
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    words = [f"{text} {option[key]:g}" for key, text in limits.items() if key in option]
    return " ".join([names.get(option.get("type", ""), ""), ", ".join(words)]).strip()


def _default(option: Mapping[str, Any]) -> str:
    """Return the default of a plain value, or the name of the default method; "" for a section."""
    default = option.get("default", "")
    if isinstance(default, dict):
        return str(default.get("name", ""))
    return ", ".join(map(_value, default)) if isinstance(default, list) else _value(default)


def _value(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _description(option: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    text = option.get("description") or (_section(option, definitions) or {}).get("description", "")
    return str(text)
