"""Every weight quantized at each width that a budget may give it, with the error of each width."""

from collections.abc import Mapping, Sequence

import numpy as np

from quant.calibration.input_moments import Moments
from quant.export.storage import stored_bits
from quant.graph.im2col import weight_matrix
from quant.graph.inventory import Layer
from quant.methods.grids.uniform import Uniform
from quant.progress import StepProgress
from quant.search.context import Work
from quant.spec import Spec, Weights
from quant.weights.layers import QuantizedLayer, quantize_layers
from quant.weights.quantize import decoded
from quant.weights.storage_form import storage_form

WIDTHS = (8, 6, 4, 2)
"""The bits that a budget chooses from, where the exported file stores that many."""
GRID_BITS = 4
"""The most bits at which the spec's own grid is used; wider weights are uniform."""

SharedWeight = tuple[QuantizedLayer, ...]
"""The layers that share one weight, quantized at one width."""


def quantize_at_widths(
    work: Work, moments: Mapping[str, Moments], spec: Spec, progress: StepProgress
) -> list[tuple[SharedWeight, ...]]:
    """Return every weight at each of its widths, the widest first; layers that share a weight share its widths.

    Fits are made once and reused at the other widths.
    """
    groups: dict[tuple[str, int], list[tuple[Layer, list[Weights]]]] = {}
    for layer, section in work:
        groups.setdefault((layer.weight_name, layer.axis), []).append((layer, sections(layer, section, spec)))
    counts = {key: min(len(by_width) for _, by_width in group) for key, group in groups.items()}
    quantized: dict[tuple[str, int], QuantizedLayer] = {}
    for index in range(max(counts.values())):
        sections_now = [
            (layer, by_width[index])
            for key, group in groups.items()
            if index < counts[key]
            for layer, by_width in group
        ]
        fits = {name: result.fitted for (name, _), result in quantized.items()}
        for result in quantize_layers(sections_now, moments, spec, progress, fits):
            quantized[result.layer.name, index] = result
    return [
        tuple(tuple(quantized[layer.name, index] for layer, _ in group) for index in range(counts[key]))
        for key, group in groups.items()
    ]


def sections(layer: Layer, section: Weights, spec: Spec) -> list[Weights]:
    """Return the section at each width that the layer may have, the widest first.

    A layer whose bits a rule of the spec sets has one section, its own. The grid is uniform at widths that the
    section's grid does not have, and above `GRID_BITS`, where such grids are stored in 8 bits anyway.
    """
    if spec.bits_are_given(layer.name, layer.op):
        return [section]
    form = storage_form(layer, section.model_copy(update={"grid": Uniform()}), spec)
    widths = [bits for bits in WIDTHS if stored_bits(bits, spec.export.opset, form) == bits]
    grids = {bits: section.grid if bits <= GRID_BITS and bits in section.grid.widths else Uniform() for bits in widths}
    return [section.model_copy(update={"bits": bits, "grid": grid}) for bits, grid in grids.items()]


def relative_error(weight: SharedWeight, moments: Mapping[str, Moments], spec: Spec) -> float:
    """Return the energy of the error at the layers' outputs as a fraction of the outputs' energy.

    That is tr(dW H dW^T) / tr(W H W^T), with dW the error of the weight W and H the second moments of the input. The
    mean error is left out where the bias corrects it. H is the identity where the moments are not known.
    """
    noise = signal = 0.0
    for quantized in weight:
        layer = quantized.layer
        float_weight = layer.weight.astype(np.float64)
        change = decoded(quantized.quantized).astype(np.float64) - layer.weight
        known = moments.get(layer.name)
        change_matrix, float_matrix = weight_matrix(layer, change), weight_matrix(layer, float_weight)
        if known is None or change_matrix is None or float_matrix is None:
            noise += float(np.sum(change**2))
            signal += float(np.sum(float_weight**2))
        else:
            noise += float(known.energy(change_matrix).sum())
            if spec.bias_correction != "none":
                noise -= float((np.einsum("gok,gk->go", change_matrix, known.mean) ** 2).sum())
            signal += float(known.energy(float_matrix).sum())
    return noise / signal if signal > 0 else 0.0


def closest_width(widths: Sequence[SharedWeight], bits: int) -> int:
    """Return the index of the width that is the closest to `bits`."""
    return min(range(len(widths)), key=lambda index: abs(widths[index][0].quantized.bits - bits))
