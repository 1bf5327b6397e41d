"""The weights of a model as a job would quantize them by one spec, found without data."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from quant.calibration.inferred_moments import infer_input_moments
from quant.calibration.input_moments import InferredMoments
from quant.calibration.synthetic_calibration import layers_with_moments
from quant.graph.inventory import Layer, Skipped, inventory
from quant.kernel import dispatch
from quant.plan.sampled_weights import MAX_CHANNELS, SampledWeight, WeightSampler
from quant.plan.structure import Structure
from quant.search.variants import Variant
from quant.spec import PRESETS, Spec, Weights
from quant.weights.clip_choice import choose_clipping
from quant.weights.layers import QuantizedLayer, adapt_to_kernel, choose_layers, round_to_nearest
from quant.weights.placeholder import placeholder
from quant.weights.storage_form import float_input_note

NEAREST_NOTE = "the plan rounds to nearest; a job that knows the layer's input, from data or not, rounds by its output"
OUTPUT_ERROR_NOTE = "the plan chooses bounds by the error of the weights, a job by the error of the layer's output"
_NO_MOMENTS: Mapping[str, InferredMoments] = {}


@dataclass(frozen=True)
class PlannedWeights:
    """The weights of a model by one spec.

    Attributes:
        model: the float model.
        spec: the spec.
        layers: the layers, quantized to placeholders.
        samples: the sample of each layer's weight; none for a model that is too large to be read.
        skipped: the nodes that stay as they are.
        corrected: the layers whose bias a job is expected to correct.
    """

    model: ir.Model
    spec: Spec
    layers: Sequence[QuantizedLayer]
    samples: Sequence[SampledWeight]
    skipped: Sequence[Skipped]
    corrected: frozenset[str]

    def file(self) -> bytes:
        """Return the file of the quantized model, with placeholders."""
        return Structure(self.layers, self.model, self.spec, self.corrected).file()


class WeightPlanner:
    """Plans the weights of one variant of a model by several specs; what they share is computed once.

    Args:
        variant: the normalised float model.
        sampled: True if weights are fitted and quantized on samples of their channels; False if none is read.
    """

    def __init__(self, variant: Variant, *, sampled: bool) -> None:
        self._variant, self._sampled = variant, sampled
        layers, _ = inventory(variant.model)
        self._moments = infer_input_moments(variant.model, layers, variant.normals) if sampled else _NO_MOMENTS
        self._synthetic = layers_with_moments(variant.model, layers) if sampled else frozenset()
        self._sampler = WeightSampler(compiled=_loops_pay(layers))

    def plan(self, spec: Spec, progress: Callable[[int, int, str], None]) -> PlannedWeights:
        """Return the weights by a spec.

        Args:
            spec: the spec.
            progress: called with the number of layers completed, their total and the name of the next layer.

        Raises:
            AlreadyQuantized, NothingToQuantize: as `choose_layers`.
            NonFiniteWeight: a weight holds NaN or infinity.
        """
        work, skipped = choose_layers(self._variant.model, spec, calibrated=spec.activations is not None)
        moments = self._moments if spec.activations is None else _NO_MOMENTS
        numbers: dict[str, int] = {}
        layers, samples = [], []
        for completed, (layer, section) in enumerate(work):
            progress(completed, len(work), layer.name)
            section, notes = _without_data(layer, section, moments.get(layer.name), spec)
            number = numbers.setdefault(layer.weight_name, len(numbers) % (1 << 15))
            quantized = placeholder(layer, section, spec, number)
            note = float_input_note(layer, quantized.form, spec)
            layers.append(replace(quantized, notes=(*notes, *([] if note is None else [note]))))
            if self._sampled:
                samples.append(self._sampler.quantize(quantized))
        known = {*moments, *(self._synthetic if spec.synthetic_inputs == "auto" else ())}
        exact = {layer.name for (layer, _), sample in zip(work, samples, strict=False) if sample.noise == 0}
        corrected = _corrected([layer for layer, _ in work], self._variant.model, known - exact, spec)
        return PlannedWeights(self._variant.model, spec, layers, samples, skipped, corrected)


def _without_data(
    layer: Layer, section: Weights, moments: InferredMoments | None, spec: Spec
) -> tuple[Weights, list[str]]:
    """Return a layer's section with what applies without data, and notes on what a job does otherwise."""
    section, notes = adapt_to_kernel(layer, section)
    calibrated = spec.activations is not None
    choice = choose_clipping(section, moments, bias_corrected=spec.bias_correction != "none", calibrated=calibrated)
    notes += [OUTPUT_ERROR_NOTE] if choice.by_output_error else []
    notes += [] if choice.note is None else [choice.note]
    if choice.section.rounding.needs_moments:
        return round_to_nearest(choice.section), [*notes, NEAREST_NOTE]
    return choice.section, notes


def _corrected(layers: Sequence[Layer], model: ir.Model, inferred: Collection[str], spec: Spec) -> frozenset[str]:
    """Return the layers whose bias a job corrects.

    Args:
        layers: the quantized layers.
        model: the model.
        inferred: the layers with an error whose effect is inferred; they are corrected without calibration data.
        spec: the spec. With calibration data, usually all layers are corrected whose output has an axis of channels.
    """
    if spec.bias_correction == "none":
        return frozenset()
    if spec.activations is None:
        return frozenset(inferred)
    return frozenset(layer.name for layer in layers if layer.graph is model.graph and layer.output_axis is not None)


def _loops_pay(layers: Sequence[Layer]) -> bool:
    """Return True if compiled loops are loaded, or save more time on the samples of all presets than loading takes."""
    rows = sum(min(layer.shape[layer.axis], MAX_CHANNELS) for layer in layers)
    weights = sum(
        layer.size // layer.shape[layer.axis] * min(layer.shape[layer.axis], MAX_CHANNELS) for layer in layers
    )
    return dispatch.loaded() or dispatch.pay(len(PRESETS) * rows, len(PRESETS) * weights)
