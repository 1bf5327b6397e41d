"""Documents as callers send them, brought to plain JSON values: what cannot be stored and shown again is refused."""

import json
from typing import Any

import yaml

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
    """The same document of JSON's own values.

    Raises:
        ValueError: it holds something else: NaN, half of a character, a date or a set, or nests too deeply.
    """
    try:
        return json.loads(json.dumps(document, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"holds what JSON has not ({_first_line(error)}); accepted: plain JSON values") from None


def read_spec(text: str) -> dict[str, Any]:
    """A spec of at most `SPEC_BYTES` written as JSON or YAML; empty text is an empty spec.

    Raises:
        SpecError: it is neither, or no mapping, or would take long to read.
    """
    try:
        _look_through(text)
        spec = plain(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refused(_first_line(error)) from None
    if spec is not None and not isinstance(spec, dict):
        raise _refused("is no mapping; accepted: a JSON or YAML mapping")
    return spec or {}


def _look_through(text: str) -> None:
    """Aliases let a short text expand without end, and PyYAML's time grows with the square of the depth."""
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            raise ValueError(f"nests deeper than {MAX_DEPTH} levels; accepted: up to {MAX_DEPTH}")
        if isinstance(token, yaml.AliasToken):
            raise ValueError("holds a YAML alias; accepted: every value written out")


def _refused(reason: str) -> SpecError:
    return SpecError(f"the spec cannot be read: {reason}", [FieldError("", reason)])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
