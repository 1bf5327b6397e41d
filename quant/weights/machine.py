"""Quantized weights changed to what the target machine computes with."""

from quant.graph.inventory import Layer
from quant.spec import Spec, Weights
from quant.weights.pair_sums import fit_pair_sums
from quant.weights.power_of_two import with_power_of_two_scales
from quant.weights.quantize import FittedWeight, QuantizedWeight
from quant.weights.storage_form import StorageForm, activation_mode


def fit_to_machine(
    layer: Layer, section: Weights, form: StorageForm, spec: Spec, fitted: FittedWeight, weight: QuantizedWeight
) -> tuple[QuantizedWeight, list[str]]:
    """Return the weight with the scales and the codes that the spec's machine needs, and notes for the report.

    Args:
        layer: the layer.
        section: its section of the spec.
        form: the form in which the weight is stored.
        spec: the whole spec.
        fitted: the float weight and its fit.
        weight: the quantized weight.
    """
    if section.scale == "power_of_two":
        return with_power_of_two_scales(fitted, section, weight), []
    if section.pair_sums == "any" or activation_mode(form, layer, spec) == "float":
        return weight, []
    weight, rows = fit_pair_sums(layer, fitted, weight)
    note = f"{rows} rows were rounded to fewer levels so that sums of two products fit 16 bits (pair_sums: int16)"
    return weight, [note] if rows else []
