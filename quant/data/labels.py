"""Labels: the correct class of each sample, for top-1 accuracy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quant.errors import InputMismatch


def read_labels(name: str, array: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return one class number for each sample; some exporters write a column, or floats.

    Args:
        name: the array's name in the file, for error texts.
        array: integers, booleans or whole floats of shape (N,) or (N, 1).

    Raises:
        InputMismatch: the array holds something else.
    """
    column = array.reshape(len(array)) if array.ndim and array.size == len(array) else array
    labels = column.astype(np.int64) if column.dtype.kind in "iub" or _is_whole(column) else None
    if column.ndim != 1 or labels is None:
        raise InputMismatch(f"array {name!r} is {array.dtype} of shape {list(array.shape)}; accepted: "
                            "one class number per sample, (N,)")  # fmt: skip
    return labels


def check_labels(labels: NDArray[np.int64], classes: int, role: str) -> None:
    """Raise unless every label is the number of a class.

    Args:
        labels: the class numbers (N,).
        classes: the number of classes of the model.
        role: the name of the data set, `calibration` or `evaluation`, for the error text.

    Raises:
        InputMismatch: a label is negative, or is not below the number of classes.
    """
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        index = int(outside[0])
        raise InputMismatch(
            f"label {int(labels[index])} at index {index} of the {role} data is no class: the model has {classes} "
            f"classes; accepted: labels from 0 to {classes - 1}"
        )


def _is_whole(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" and bool((np.abs(array) < 2**31).all() and (array == np.rint(array)).all())
