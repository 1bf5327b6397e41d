"""The shares of the layers in the error at the model's output: each layer's weights are quantized alone.

See docs/methods.md, 'Shares of the output error'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_DATA = "without calibration data nothing is measured"
NOT_ASKED = "the spec asks for a report on the weights alone"


@dataclass(frozen=True)
class LayerShare:
    """The share of one layer, as a fraction of the sum over the layers.

    Attributes:
        value: the error that the layer causes alone, divided by the sum of these errors over all layers.
        standard_error: the standard error of `value`, from its variation between batches; None for one batch.
    """

    value: float
    standard_error: float | None


@dataclass(frozen=True)
class ErrorShares:
    """The shares of all layers, measured on the same samples.

    The energies are of the error at the model's outputs, as fractions of the energy of the outputs.

    Attributes:
        layers: the shares by the layer's name; layers that cannot be changed alone are missing.
        samples: the calibration samples that were run for each layer.
        reason: why nothing was measured; None if it was.
        weights: the sum over the layers of the error that each causes alone.
        activations: the error with all activations quantized and all weights in float; None if none is quantized.
        all: the error of the quantized model.
    """

    layers: Mapping[str, LayerShare] = field(default_factory=dict)
    samples: int = 0
    reason: str | None = NO_DATA
    weights: float | None = None
    activations: float | None = None
    all: float | None = None
