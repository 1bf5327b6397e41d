"""The weights of a model quantized in the formats of an allocation, each at most once."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from quant.calibration.input_moments import Moments
from quant.graph.inventory import Layer
from quant.methods.clipping.mse import Mse
from quant.progress import StepProgress
from quant.search.context import CalibratedContext, SearchContext
from quant.search.formats import WeightFormats
from quant.search.weight_errors import independent_error, relative_error
from quant.spec import Spec, Weights
from quant.weights.granularity import Granularity
from quant.weights.layer_granularity import granularity_of
from quant.weights.layers import QuantizedLayer, adapt_to_kernel, quantize_layers
from quant.weights.placeholder import placeholder
from quant.weights.quantize import FittedWeight
from quant.weights.storage_form import storage_form

SharedWeight = tuple[QuantizedLayer, ...]
"""The layers that share one weight, quantized in one format."""
Numbers = Sequence[int]
"""The number of a format for each weight."""


class FormatQuantizer:
    """Quantizes weights in the formats that are asked for; fits are made once and used for all formats.

    Args:
        context: the variant of the float model.
        weights: its weights with their formats.
    """

    def __init__(self, context: SearchContext, weights: Sequence[WeightFormats]) -> None:
        self._context, self._weights = context, weights
        self._fits: dict[tuple[str, Granularity], FittedWeight] = {}
        self._quantized: dict[tuple[int, int], SharedWeight] = {}
        self._bounds = [0.0] * len(weights)

    def weight_errors(self, progress: StepProgress) -> list[list[float]]:
        """Return the error of each weight in each format at its layers' outputs, relative to the outputs' energy.

        Weights are rounded to the nearest levels, with the bounds of least weight error, and inputs count as
        independent (`independent_error`).
        """
        errors: list[list[float]] = [[] for _ in self._weights]
        for number in range(max(len(weight.sections) for weight in self._weights)):
            pairs = [(index, number) for index, weight in enumerate(self._weights) if number < len(weight.sections)]
            for index, layers in self._quantize(pairs, {}, progress, expected=False):
                errors[index].append(sum(self._error(layer, independent_error) for layer in layers))
                if number == 0:
                    self._bounds[index] = float(np.mean(layers[0].quantized.clip))
        return errors

    @property
    def bounds(self) -> Sequence[float]:
        """The mean clip bound of each weight in its widest format, in the weight's unit."""
        return self._bounds

    def layers(self, numbers: Numbers, progress: StepProgress) -> list[SharedWeight]:
        """Return every weight in the format of its number, rounded as the spec says."""
        pairs = list(enumerate(numbers))
        missing = [pair for pair in pairs if pair not in self._quantized]
        for index, layers in self._quantize(missing, self._context.moments, progress):
            self._quantized[index, numbers[index]] = layers
        return [self._quantized[pair] for pair in pairs]

    def probes(self, numbers: Numbers, progress: StepProgress) -> list[SharedWeight]:
        """Return every weight in the format of its number, rounded as the spec says, with bounds that need no search.

        A search of bounds rounds each weight 14 times.
        """
        pairs = list(enumerate(numbers))
        return [
            layers for _, layers in self._quantize(pairs, self._context.moments, progress, search=False, expected=False)
        ]

    def placeholders(self, numbers: Numbers) -> list[SharedWeight]:
        """Return placeholders for the weights in the formats of these numbers."""
        spec = self._context.spec
        return [
            tuple(
                placeholder(layer, adapt_to_kernel(layer, section)[0], spec, index % (1 << 15))
                for layer, section in self._weights[index].work(number)
            )
            for index, number in enumerate(numbers)
        ]

    def relative_error(self, weight: SharedWeight) -> float:
        """Return the energy of the error at the layers' outputs as a fraction of the outputs' energy."""
        return sum(self._error(layer, relative_error) for layer in weight)

    def _error(self, layer: QuantizedLayer, error: Callable[..., float]) -> float:
        corrected = self._context.spec.bias_correction != "none"
        return error(layer, self._context.moments.get(layer.layer.name), bias_corrected=corrected)

    def _quantize(
        self,
        pairs: Sequence[tuple[int, int]],
        moments: Mapping[str, Moments],
        progress: StepProgress,
        *,
        search: bool = True,
        expected: bool = True,
    ) -> list[tuple[int, SharedWeight]]:
        """Return the weights of these numbers in the formats of these numbers.

        No bound is searched unless `search`, and the expected errors of weights are left out unless `expected`.
        """
        spec, deadline = self._context.spec, self._context.deadline
        work = [each for index, number in pairs for each in self._weights[index].work(number)]
        work = work if search else [(layer, _without_search(section)) for layer, section in work]
        keys = {layer.name: (layer.name, _granularity(layer, section, spec)) for layer, section in work}
        fits = {name: self._fits[key] for name, key in keys.items() if key in self._fits}
        calibrated = isinstance(self._context, CalibratedContext)
        results = iter(quantize_layers(
            work, moments, spec, progress, fits, deadline=deadline, calibrated=calibrated, expected=expected
        ))  # fmt: skip
        quantized = []
        for index, _ in pairs:
            layers = tuple(next(results) for _ in self._weights[index].layers)
            self._fits |= {keys[layer.layer.name]: layer.fitted for layer in layers}
            quantized.append((index, layers))
        return quantized


def _without_search(section: Weights) -> Weights:
    """Return the section with the bounds of least weight error in the place of those of least output error."""
    return section.model_copy(update={"clipping": Mse()}) if section.clipping.uses_moments else section


def _granularity(layer: Layer, section: Weights, spec: Spec) -> Granularity:
    """Return the granularity of a layer's weight by its section."""
    section, _ = adapt_to_kernel(layer, section)
    return granularity_of(layer, section, storage_form(layer, section, spec))
