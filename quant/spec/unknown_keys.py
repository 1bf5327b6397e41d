"""The error of a key that a spec does not have: it lists the keys that are accepted there."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from quant.spec.document import Spec
from quant.texts import closest, shortened


def unknown_key(location: Sequence[str | int]) -> str:
    """Return the description of an unknown key at a pydantic location, which also contains tags of union members."""
    sections: list[type[BaseModel]] = [Spec]
    for part in location[:-1]:
        fields = [section.model_fields[part] for section in sections if part in section.model_fields]
        tagged = [section for section in sections if _tag(section) == part]
        if fields:
            sections = [section for field in fields for section in _sections(field.annotation)]
        elif tagged:
            sections = tagged
    accepted = dict.fromkeys(key for section in sections for key in section.model_fields)
    key = shortened(str(location[-1]))
    return f"unknown key `{key}`{closest(key, accepted)}; accepted: {', '.join(accepted)}"


def _tag(section: type[BaseModel]) -> Any:
    """Return the name of a method, which tells it from the others of its kind; None for other sections."""
    name = section.model_fields.get("name")
    return None if name is None else name.default


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a field of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)
