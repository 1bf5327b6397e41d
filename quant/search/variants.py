"""Variants of the float model that are quantized and compared: as normalised, and with equalized channels."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from quant.calibration.channel_moments import ChannelMoments, scale_moments
from quant.equalization.bias_absorption import absorb_biases
from quant.equalization.cross_layer import equalize
from quant.spec import Spec


@dataclass(frozen=True)
class Variant:
    """One variant of the float model.

    Attributes:
        suffix: added to the names of its candidates in the report.
        model: the float model.
        normals: the moments of tensors that follow from BatchNormalization, by the tensor's name.
    """

    suffix: str
    model: ir.Model
    normals: Mapping[str, ChannelMoments]


def form_variants(
    model: ir.Model, normals: Mapping[str, ChannelMoments], spec: Spec, *, calibrated: bool
) -> tuple[Variant, ...]:
    """Return the variants of the model that the spec's equalization asks for, each with its moments.

    With `auto`, there are two variants to compare if there are calibration data; otherwise the model is not equalized.
    With `cross_layer`, the model is equalized in place.
    """
    plain = Variant("", model, normals)
    if spec.equalization == "cross_layer":
        return (_equalized(model, normals, spec, suffix="")[0],)
    if spec.equalization == "none" or not calibrated:
        return (plain,)
    variant, changed = _equalized(model.clone(), normals, spec, suffix=", equalized")
    return (plain, variant) if changed else (plain,)


def _equalized(
    model: ir.Model, normals: Mapping[str, ChannelMoments], spec: Spec, *, suffix: str
) -> tuple[Variant, bool]:
    """Equalize the model in place; return it as a variant, and True if any channel was rescaled."""
    factors = equalize(model)
    normals = scale_moments(normals, factors)
    if spec.activations is not None:
        normals = absorb_biases(model, normals)
    return Variant(suffix, model, normals), bool(factors)
