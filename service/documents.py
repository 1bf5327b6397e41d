"""Documents from callers, reduced to plain JSON values that can be stored and shown again."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from jobs.errors import BadRequest
from quant.errors import FieldError, SpecError

SPEC_BYTES = 1 << 16
MAX_DEPTH = 32
_OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


def plain(document: Any) -> Any:
    """Return a copy of the document that consists of JSON values only.

    Raises:
        ValueError: it holds another value (NaN, a lone surrogate, a date, a set) or nests too deeply.
    """
    try:
        return json.loads(json.dumps(document, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"holds a value that JSON lacks ({_first_line(error)}); accepted: plain JSON values") from None


def read_spec(text: str) -> dict[str, Any]:
    """Parse a spec of at most `SPEC_BYTES` in JSON or YAML; empty text is an empty spec.

    Raises:
        SpecError: it is not a JSON or YAML mapping, or would take long to parse.
    """
    try:
        spec = plain(_construct(_compose(text)))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(_reason(error)) from None
    if spec is not None and not isinstance(spec, dict):
        raise _unreadable("is not a mapping; accepted: a JSON or YAML mapping")
    return spec or {}


def read_document(name: str, text: str) -> Any:
    """Parse a field of a form in JSON or YAML, of at most `SPEC_BYTES`.

    Raises:
        BadRequest: it is neither, holds a value that JSON lacks, or would take long to parse.
    """
    try:
        return plain(_construct(_compose(text)))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = _reason(error)
        raise BadRequest(f"the field {name!r} cannot be read: {reason}", [FieldError(f"/{name}", reason)]) from None


def lines_of(text: str, pointers: Sequence[str]) -> list[int | None]:
    """Return the lines, from 1, at which the values of JSON pointers stand in the text of a spec.

    If the text lacks a value, the line of its nearest parent is returned; if the text cannot be parsed, the line of the
    fault. None where there is no such line.
    """
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        return [error.problem_mark.line + 1 if error.problem_mark else None] * len(pointers)
    except (yaml.YAMLError, ValueError, RecursionError):
        return [None] * len(pointers)
    return [_line_of(node, pointer) for pointer in pointers]


def _line_of(node: yaml.Node | None, pointer: str) -> int | None:
    line = None
    for part in pointer.split("/")[1:]:
        found = _child(node, part.replace("~1", "/").replace("~0", "~"))
        if found is None:
            break
        line, node = found
    return line


def _child(node: yaml.Node | None, name: str) -> tuple[int, yaml.Node] | None:
    """Return the line, from 1, and the node of an entry of a mapping or sequence; None if it has no such entry."""
    if isinstance(node, yaml.MappingNode):
        entries = ((key.value, key.start_mark.line, value) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        entries = ((str(index), value.start_mark.line, value) for index, value in enumerate(node.value))
    else:
        return None
    return next(((line + 1, value) for key, line, value in entries if key == name), None)


def _compose(text: str) -> yaml.Node | None:
    """Return the nodes of a YAML document; None for an empty one.

    Raises:
        yaml.YAMLError: it cannot be parsed, or a mapping has a key twice, of which PyYAML would drop the first.
        ValueError: it would take long to parse.
    """
    _check_cost(text)
    root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return root


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            fault = f"the key {key.value[:80]!r} occurs twice; accepted: each key once"
            raise yaml.composer.ComposerError(None, None, fault, key.start_mark)
        seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)


def _construct(node: yaml.Node | None) -> Any:
    """Return the value of a document's nodes."""
    return None if node is None else yaml.SafeLoader("").construct_document(node)


def _check_cost(text: str) -> None:
    """Refuse text that is expensive to parse.

    PyYAML reads about 100 kB in a second, and its time grows with the square of the depth. Aliases let a short text
    expand without limit.
    """
    if len(text.encode(errors="replace")) > SPEC_BYTES:
        raise ValueError(f"is longer than {SPEC_BYTES} bytes; accepted: up to {SPEC_BYTES}")
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            raise ValueError(f"nests deeper than {MAX_DEPTH} levels; accepted: up to {MAX_DEPTH}")
        if isinstance(token, yaml.AliasToken):
            raise ValueError("holds a YAML alias; accepted: every value written out")


def _unreadable(reason: str) -> SpecError:
    return SpecError(f"the spec cannot be read: {reason}", [FieldError("", reason)])


def _reason(error: Exception) -> str:
    """Return the fault that a parser found, with its place if it is known."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
