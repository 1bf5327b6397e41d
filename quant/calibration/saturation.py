"""Saturation: the share of the values of evaluation data that lie outside of the activation ranges of the layers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.observers import Tensors, observe
from quant.data.dataset import Dataset
from quant.data.findings import DataFinding
from quant.graph.inventory import Layer
from quant.graph.weightless import Weightless

SAMPLES = 32
"""Evaluation samples that are run: a tensor of a convolution has 10^5 values and more on them."""
MAX_CLIPPED = 0.02
"""The largest share of clipped values that is not reported; ranges by entropy or percentile clip up to 0.01 by
intent."""


@dataclass(frozen=True)
class ClippedShare:
    """The activation that a layer reads: its range, and the share of clipped values in the evaluation data.

    Attributes:
        tensor: the name of the tensor.
        minimum: the smallest value that a code represents.
        maximum: the largest value that a code represents.
        clipped_fraction: the share of values outside, 0 to 1.
        samples: the samples on which it was measured.
    """

    tensor: str
    minimum: float
    maximum: float
    clipped_fraction: float
    samples: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report's `activation` of a layer."""
        return {
            "tensor": self.tensor,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "clipped_fraction": self.clipped_fraction,
            "samples": self.samples,
        }


class ClippingObserver:
    """Observer that counts the values of each tensor outside of its range."""

    def __init__(self, ranges: Mapping[str, ActivationRange]) -> None:
        self._limits = {name: activation.representable for name, activation in ranges.items()}
        self._margins = {name: float(activation.scale) / 2 for name, activation in ranges.items()}
        self.clipped = dict.fromkeys(ranges, 0)
        self.count = dict.fromkeys(ranges, 0)

    def wants(self, number: int) -> Collection[str]:
        """Return the names of all tensors, for every batch."""
        return self.clipped

    def add(self, number: int, values: Tensors) -> None:
        """Count the values of one batch; a value within half a step of the range is only rounded."""
        for name, (low, high) in self._limits.items():
            value, margin = np.asarray(values[name], np.float32), self._margins[name]
            self.count[name] += value.size
            self.clipped[name] += int(np.count_nonzero(value < low - margin))
            self.clipped[name] += int(np.count_nonzero(value > high + margin))


def clipped_shares(
    model: Weightless, layers: Collection[Layer], ranges: Mapping[str, ActivationRange], evaluation: Dataset
) -> dict[str, ClippedShare]:
    """Return the clipped share of the activation that each layer reads, by the layer's name.

    Layers whose input is not quantized are left out.

    Args:
        model: the float model.
        layers: the quantized layers.
        ranges: the activation ranges by the tensor's name.
        evaluation: the evaluation set, of which a part is run.

    Raises:
        ModelError: the float model does not run on the data.
    """
    inputs = {layer.name: str(layer.operand(layer.input_index).name) for layer in layers}
    read = {name: ranges[name] for name in dict.fromkeys(inputs.values()) if name in ranges}
    if not read:
        return {}
    observer, part = ClippingObserver(read), evaluation.spread(SAMPLES)
    observe(model, part, [observer], lambda *_: None)
    return {
        layer: ClippedShare(name, *read[name].representable, observer.clipped[name] / observer.count[name], part.used)
        for layer, name in inputs.items()
        if name in read and observer.count[name]
    }


def saturated(shares: Mapping[str, ClippedShare]) -> list[DataFinding]:
    """Return a finding that names the layers with a large clipped share, the worst one in its text; else nothing."""
    names = [name for name, share in shares.items() if share.clipped_fraction > MAX_CLIPPED]
    if not names:
        return []
    worst = max(names, key=lambda name: shares[name].clipped_fraction)
    others = "" if len(names) == 1 else f", and more than {100 * MAX_CLIPPED:g}% in {len(names) - 1} others"
    return [
        DataFinding(
            "calibration.saturates",
            f"activation ranges saturate on the evaluation data: {100 * shares[worst].clipped_fraction:.3g}% of the "
            f"values that layer {worst!r} reads are clipped{others}; calibration data that is like the evaluation "
            "data gives wider ranges",
            tuple(names),
        )
    ]
