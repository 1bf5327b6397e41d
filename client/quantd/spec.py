"""The spec of a command line: read from a file and options, and checked before anything is sent."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from quantd.errors import ClientError
from quantd.figures import GATES
from quantd.server import is_server_installed
from quantd.text import accepted_names


def read_spec(path: Path | None, preset: str | None, gates: Iterable[str] = ()) -> dict[str, Any]:
    """Return the spec of the file; the preset and the gates of the command line replace those of the file.

    Args:
        path: a YAML or JSON file; None for an empty spec.
        preset: the value of `--preset`.
        gates: the values of `--gate`, such as "min_output_sqnr_db=20".

    Raises:
        ClientError: the file cannot be read, or a gate is not NAME=NUMBER.
    """
    spec = read_mapping(path, "spec", may_be_empty=True) if path else {}
    if preset is not None:
        spec["preset"] = preset
    limits = dict(_parse_gate(gate) for gate in gates)
    if limits:
        section = spec.get("gates") or {}
        if not isinstance(section, dict):
            raise ClientError(f"{path}: `gates` is not a mapping; accepted: a limit for each gate")
        spec["gates"] = section | limits
    return spec


def read_mapping(path: Path, what: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    """Return the mapping of a YAML or JSON file.

    Args:
        path: the file.
        what: the name of its content in errors.
        may_be_empty: True to return an empty mapping for an empty file instead of raising.

    Raises:
        ClientError: the file cannot be read, or is no mapping.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClientError(f"{path} is neither YAML nor JSON: {_yaml_fault(error)}") from None
    if document is None and may_be_empty:
        return {}
    if not isinstance(document, dict):
        raise ClientError(f"{path}: the {what} is not a mapping; accepted: a YAML or JSON mapping")
    return document


def check_spec(spec: dict[str, Any], *, calibration: bool, evaluation: bool) -> None:
    """Raise unless the spec is valid and the data that it needs is given.

    The service checks the same, but only after the model has been uploaded. Where the quantizer is not installed, this
    is left to the service.

    Raises:
        ClientError: the spec is not valid, or needs data that is not given.
    """
    if not is_server_installed():
        return
    from quant.spec import require_data, resolve

    with _as_client_error():
        require_data(resolve(spec), calibration=calibration, evaluation=evaluation)


def check_valid(spec: Mapping[str, Any]) -> None:
    """Raise unless the spec is valid, whatever data it needs; `check_spec` says where that is left to the service.

    Raises:
        ClientError: it is not valid.
    """
    if not is_server_installed():
        return
    from quant.spec import resolve

    with _as_client_error():
        resolve(spec)


@contextmanager
def _as_client_error() -> Iterator[None]:
    """Turn the faults of a spec into an error of the command."""
    from quant.errors import SpecError

    try:
        yield
    except SpecError as error:
        faults = [{"pointer": fault.pointer, "detail": fault.detail} for fault in error.errors]
        raise ClientError(error.detail, {"code": error.code, "title": error.title, "errors": faults}) from None


def _yaml_fault(error: Exception) -> str:
    """Return the place and the kind of an error in a YAML file."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error)


def _parse_gate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in GATES:
        raise ClientError(f"--gate {text}: there is no gate {name!r}; {accepted_names(name, GATES)}")
    return name, parse_number("--gate", text, value)


def parse_number(option: str, text: str, value: str) -> float:
    """Return the number of an option NAME=NUMBER.

    Raises:
        ClientError: `value` is not a finite number.
    """
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ClientError(f"{option} {text}: {value!r} is not a number; accepted: NAME=NUMBER")
    return number
