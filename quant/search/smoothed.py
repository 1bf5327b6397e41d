"""The smoothed variant of a model, for the comparison with the model as it is."""

from dataclasses import replace

from quant.calibration.channel_inputs import ChannelInputObserver
from quant.calibration.observers import observe
from quant.data.dataset import Dataset
from quant.equalization.smoothing import linear_groups, smooth
from quant.equalization.smoothing_factors import Precision
from quant.graph.inventory import Layer
from quant.graph.weightless import weightless
from quant.outcome.stages import Stage
from quant.progress import Progress, sample_progress
from quant.search.variants import Variant
from quant.spec import Spec, Weights
from quant.weights.layers import choose_layers

SAMPLES = 64
"""Samples of the fitting part on which smoothings are compared."""
MIN_SHARE = 0.5
"""The least share of the layers that can be smoothed: a whole variant for the last layers of a network of
convolutions takes more time than it is worth."""


def smoothed(variant: Variant, fitting: Dataset, spec: Spec, progress: Progress) -> Variant | None:
    """Return a smoothed copy of a variant, or None where smoothing no layer lowers its output error by much.

    Raises:
        QuantdError: as `choose_layers` and `observe` do.
    """
    model = variant.model.clone()
    work, _ = choose_layers(model, spec)
    sections = {layer.name: section for layer, section in work if layer.graph is model.graph}
    groups = linear_groups([layer for layer, _ in work if layer.name in sections])
    if sum(len(group.layers) for group in groups) < MIN_SHARE * len(work):
        return None
    observer = ChannelInputObserver([str(group.value.name) for group in groups], fitting.spread(SAMPLES))
    observe(weightless(model), fitting, [observer], sample_progress(progress, Stage.CALIBRATING))
    precisions = [_precision(group.layers[0], sections[group.layers[0].name], spec) for group in groups]
    changed = smooth(groups, observer.inputs(), precisions)
    return replace(variant, suffix=f"{variant.suffix}, smoothed", model=model) if changed else None


def _precision(layer: Layer, section: Weights, spec: Spec) -> Precision:
    """Return the grids of a layer."""
    activations = spec.activations if layer.float_only is None else None
    return Precision(
        input_levels=None if activations is None else 2**activations.bits,
        symmetric=activations is not None and activations.symmetric,
        weight_levels=max(2 ** (section.bits - 1) - 1, 1),
        block=section.block_size if section.granularity == "block" else 0,
    )
