"""The values of single samples in the outputs of a batch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def samples_of(output: Any, samples: int) -> list[NDArray[Any]] | None:
    """Return the values of each sample, without the axis of samples; None where the output has no such axis.

    Args:
        output: the output for one batch, as ONNX Runtime returns it.
        samples: the number of samples in the batch. The output of a single sample may lack the axis.
    """
    if not isinstance(output, np.ndarray):
        return None
    if output.ndim and len(output) == samples:
        return list(output)
    return [output] if samples == 1 else None
