"""The report's entry of one layer: the method, the fits, and the errors of its weights and of its output."""

import math
from collections import Counter
from collections.abc import Mapping

from quant.correction.mean_shift import MeanShift
from quant.error_bounds.propagate import Bound
from quant.export.storage import storage_notes, stored_bytes
from quant.outcome.report.fits import CandidateFamily, RowFit
from quant.outcome.report.layer import MAX_FITS, ClippedActivation, ErrorBound, LayerEntry, LayerOutput, WeightErrors
from quant.report.alternatives import alternatives
from quant.report.channels import list_channels
from quant.report.measurements import NOTHING_MEASURED, Measurements
from quant.report.picture import draw_picture
from quant.report.weight_study import study_weights
from quant.spec import Spec
from quant.weights.granularity import PerChannel, PerMatrixChannel
from quant.weights.layers import QuantizedLayer
from quant.weights.quantize import FittedWeight, QuantizedWeight
from quant.weights.storage_form import ActivationMode, activation_mode

NOT_COMPARED = (
    "the output has no channel axis, lies in the body of a node, depends on random numbers, or has a shape that "
    "depends on values"
)
"""Why a layer's output is not compared where others are."""
NOT_ALONE = "the layer lies in the body of a node, so that it cannot be changed alone"
"""Why a layer has no share of the output error where others have."""
NOT_EXPECTED = "the rows were not fitted, or none of the fitted distributions has a mean or a variance"
"""Why an expected error of a weight is missing."""

_NOT_CLIPPED: Mapping[ActivationMode, str] = {
    "static": "it is measured on evaluation data, for a full report",
    "dynamic": "the model computes the range of each input, so that it clips none",
    "float": "the input is not rounded",
}
"""Why no clipped values were measured, by the rounding of the layer's input."""


def layer_report(quantized: QuantizedLayer, spec: Spec, measured: Measurements = NOTHING_MEASURED) -> LayerEntry:
    """Return the report's entry for one quantized layer.

    Args:
        quantized: the layer with its fit, its quantized weight and the errors.
        spec: the whole spec.
        measured: the measurements of the finished model.
    """
    layer, section = quantized.layer, quantized.spec
    fitted, weight = quantized.fitted, quantized.quantized
    share = measured.shares.layers.get(layer.name)
    clipped, mode = measured.clipped.get(layer.name), activation_mode(quantized.form, layer, spec)
    study, no_picture = study_weights(quantized)
    channels, no_channels = list_channels(quantized)
    return LayerEntry(
        name=layer.name,
        op=layer.op,
        weight_shape=layer.shape,
        parameters=layer.size,
        bits=weight.bits,
        granularity=section.granularity,
        block_size=weight.block or None,
        grid=section.grid.name,
        clipping=section.clipping.name,
        rounding=section.rounding.name,
        distribution=dict(sorted(Counter(fitted.fit.family).items())),
        fits=_fits(fitted),
        candidates=tuple(CandidateFamily.model_validate(entry) for entry in fitted.fit.candidates_summary()),
        clip_ratio=weight.error.clip_ratio,
        clipped_fraction=weight.error.clipped_fraction,
        weight=_weight_errors(weight),
        output=_output(layer.name, measured),
        output_reason=_output_reason(layer.name, measured),
        activations=mode,
        activation=None if clipped is None else ClippedActivation.model_validate(clipped.as_dict()),
        activation_reason=_NOT_CLIPPED[mode] if clipped is None else None,
        bound=_bound(measured.bounds.layers.get(layer.name)),
        bytes_before=4 * layer.size,
        bytes_after=stored_bytes(weight, quantized.form, spec.export.opset),
        seconds=None,
        notes=(*fitted.fit.notes, *quantized.notes, *storage_notes(weight.bits, quantized.form, spec.export.opset)),
        error_share=None if share is None else share.value,
        error_share_standard_error=None if share is None else share.standard_error,
        error_share_reason=None if share is not None else measured.shares.reason or NOT_ALONE,
        picture=None if study is None else draw_picture(quantized, study, spec),
        picture_reason=no_picture,
        channels=channels,
        channels_reason=no_channels,
        alternatives=alternatives(quantized, spec, measured.shares),
    )


def mean_shift_value(shift: MeanShift | None) -> float | None:
    """Return a mean shift in the output's unit; None where it was not measured."""
    return None if shift is None else shift.value


def mean_shift_error(shift: MeanShift | None) -> float | None:
    """Return the standard error of a mean shift; None where it is not known."""
    return None if shift is None else shift.standard_error


def _fits(fitted: FittedWeight) -> tuple[RowFit, ...]:
    """Return the fits of the rows of the weight, at most `MAX_FITS` of them.

    `channel` is None where a row is a block or the whole tensor.
    """
    per_channel = isinstance(fitted.granularity, PerChannel | PerMatrixChannel)
    total = len(fitted.statistics.count)
    rows = (number * total // min(total, MAX_FITS) for number in range(min(total, MAX_FITS)))
    entries = ({"channel": row if per_channel else None, **fitted.fit.describe(row)} for row in rows)
    return tuple(RowFit.model_validate(entry) for entry in entries)


def _weight_errors(weight: QuantizedWeight) -> WeightErrors:
    """Return the measured errors of one weight, and those expected of its distribution and its largest weight."""
    error = weight.error
    known = math.isfinite(error.mae_expected) and math.isfinite(error.mse_expected)
    return WeightErrors(
        mae=error.mae,
        mse=error.mse,
        sqnr_db=error.sqnr_db,
        mae_expected=error.mae_expected,
        mse_expected=error.mse_expected,
        expected_reason=None if known else NOT_EXPECTED,
    )


def _output(name: str, measured: Measurements) -> LayerOutput | None:
    """Return the errors at one layer's output on held-out samples; None where they were not measured."""
    difference = measured.differences.get(name)
    if difference is None:
        return None
    shift = measured.shifts.layers.get(name)
    before, after = (None, None) if shift is None else (shift.before, shift.after)
    return LayerOutput(
        mean_shift_before=mean_shift_value(before),
        mean_shift_after=mean_shift_value(after),
        mean_shift_before_standard_error=mean_shift_error(before),
        mean_shift_after_standard_error=mean_shift_error(after),
        sqnr_db=difference.sqnr_db,
        cosine=difference.cosine,
    )


def _output_reason(name: str, measured: Measurements) -> str | None:
    """Return why a layer's output was not compared: as in no layer, or because of the layer itself."""
    if name in measured.differences:
        return None
    shifts = measured.shifts
    return NOT_COMPARED if shifts.layers or shifts.reason is None else shifts.reason


def _bound(bound: Bound | None) -> ErrorBound | None:
    return None if bound is None else ErrorBound.model_validate(bound.described())
