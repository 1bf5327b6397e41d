"""Targets: the right output of each sample, such as a text, a class map or boxes, for the metrics of tasks."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quant.errors import InputMismatch

Targets = Mapping[str, Sequence[NDArray[np.generic]]]
"""The target of each sample by the name of the output; those of the first metric have the name ""."""
NAMES = ("__targets__", "targets")
"""The names of the array of targets; that of an output has a point and the output's name behind it."""


def is_targets(name: str) -> bool:
    """Return True if an array of this name, which is no input's, holds targets."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in NAMES)


def read_targets(arrays: Mapping[str, Sequence[NDArray[np.generic]]]) -> dict[str, Sequence[NDArray[np.generic]]]:
    """Return the targets by the name of the output.

    Args:
        arrays: a value for each sample, by the name of the array in the file.

    Raises:
        InputMismatch: two arrays mean the same.
    """
    targets: dict[str, Sequence[NDArray[np.generic]]] = {}
    for name, values in arrays.items():
        prefix = next(prefix for prefix in NAMES if name == prefix or name.startswith(f"{prefix}."))
        output = name.removeprefix(prefix).removeprefix(".")
        if output in targets:
            raise InputMismatch(f"array {name!r} has the same meaning as another one; accepted: one of them")
        targets[output] = values
    return targets
