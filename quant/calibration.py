"""Activation ranges in one pass over the calibration set: each batch is reduced and dropped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quant.dataset import Dataset
from quant.errors import ModelError
from quant.runtime import Session

QMAX = 255
"""Activations are UINT8, asymmetric: what the x86 integer kernels are fast with."""


@dataclass(frozen=True)
class ActivationRange:
    """The least and the greatest value that one tensor took, widened to hold zero."""

    minimum: float
    maximum: float

    @property
    def scale(self) -> np.float32:
        """One step, (max - min) / 255; 1 for a tensor that is always zero."""
        span = (self.maximum - self.minimum) / QMAX
        return np.float32(span) if np.float32(span) > 0 else np.float32(1)

    @property
    def zero_point(self) -> np.uint8:
        """The code of zero, which is exact."""
        return np.uint8(np.clip(np.rint(-self.minimum / float(self.scale)), 0, QMAX))


def calibrate(
    model: ir.Model, names: Sequence[str], dataset: Dataset, progress: Callable[[int, int], None]
) -> dict[str, ActivationRange]:
    """The range of each named float tensor over the whole set.

    Raises:
        ModelError: the model does not run on the data, or a tensor became NaN or infinite.
    """
    session = Session(with_outputs(model, names), "the float model")
    lower, upper = np.zeros(len(names)), np.zeros(len(names))
    done = 0
    for feeds in dataset.batches():
        values = session.run(feeds, names)
        lower = np.minimum(lower, [value.min(initial=0) for value in values])
        upper = np.maximum(upper, [value.max(initial=0) for value in values])
        done = min(done + dataset.batch, dataset.used)
        progress(done, dataset.used)
    broken = ~(np.isfinite(lower) & np.isfinite(upper))
    if broken.any():
        raise ModelError(f"tensor {names[int(broken.argmax())]!r} is NaN or infinite on the calibration data")
    return {name: ActivationRange(float(a), float(b)) for name, a, b in zip(names, lower, upper, strict=True)}


def with_outputs(model: ir.Model, names: Sequence[str]) -> bytes:
    """The model as bytes, with the named tensors as outputs too."""
    proto = ir.to_proto(model)
    present = {output.name for output in proto.graph.output}
    for name in names:
        if name not in present:
            proto.graph.output.add(name=name)
    data: bytes = proto.SerializeToString()
    return data
