"""Measurements of the chosen model for the report: differences at the layers' outputs, bounds, shares, clipping."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quant.calibration.saturation import ClippedShare, clipped_shares
from quant.correction.mean_shift import LayerComparison, LayerDifference, MeanShifts, compare_layers
from quant.data.dataset import Dataset
from quant.deadline import LIMIT_REACHED
from quant.error_bounds.propagate import NO_BOX, NOT_ASKED, Bounds, bound_errors
from quant.progress import Progress, correction_progress, subject_progress
from quant.search.candidates import assemble
from quant.search.choice import Choice
from quant.search.context import CalibratedContext
from quant.search.error_shares import ErrorShares

PART = 8
"""The figures at the layers' outputs are measured on an eighth of the set, up to `SAMPLES`."""
SAMPLES = 16
"""Held-out samples for the figures at the layers' outputs. A layer's SQNR differs by 0.3 to 0.5 dB from the SQNR on
many samples; on 8 samples it differs by up to twice as much (ResNet20, MobileNetV1). The time of one sample is that of
four to six float runs."""
FIGURES = "figures of the report"
"""The name of the work that a deadline leaves out."""
NO_SHIFTS = MeanShifts({}, 0, "without calibration data nothing is measured")


@dataclass(frozen=True)
class Measurements:
    """Figures of the quantized model that need data, by the layer's name; empty where they were not measured.

    Attributes:
        differences: the differences at the layers' outputs.
        bounds: the bounds on the errors of layers and outputs.
        shifts: the mean shifts at the layers' outputs.
        shares: the layers' shares of the error at the model's output.
        clipped: the clipped share of the activation that a layer reads, on evaluation data.
    """

    differences: Mapping[str, LayerDifference] = field(default_factory=dict)
    bounds: Bounds = NO_BOX
    shifts: MeanShifts = NO_SHIFTS
    shares: ErrorShares = field(default_factory=ErrorShares)
    clipped: Mapping[str, ClippedShare] = field(default_factory=dict)


IN_FLOAT16 = "no layer is quantized: the model computes in float16"
NOTHING_MEASURED = Measurements()
"""The measurements of a model that was quantized without data."""


def measure(choice: Choice, evaluation: Dataset | None, progress: Progress) -> Measurements:
    """Return the measurements of the chosen model that its data and its spec allow, without the shares of the layers.

    Raises:
        ExportError: the float and the quantized model do not run as one graph.
        ModelError: the float model does not run on a data set.
    """
    if choice.context.spec.precision == "fp16":
        return Measurements(bounds=Bounds({}, {}, IN_FLOAT16), shifts=MeanShifts({}, 0, IN_FLOAT16))
    compared = measure_layers(choice, progress)
    return Measurements(
        differences=compared.differences,
        bounds=measure_bounds(choice),
        shifts=compared.shifts,
        clipped=measure_clipping(choice, evaluation),
    )


def measure_layers(choice: Choice, progress: Progress) -> LayerComparison:
    """Return the differences and the mean shifts at the layers' outputs on held-out samples.

    Nothing is measured without calibration data, or if the spec asks for a report on the weights only.

    Raises:
        ExportError: the float and the quantized model do not run as one graph.
    """
    context = choice.context
    if not isinstance(context, CalibratedContext):
        return LayerComparison(NO_SHIFTS)
    if context.spec.report == "weights":
        return LayerComparison(MeanShifts({}, 0, "the spec asks for a report on the weights alone"))
    if context.deadline.skips(FIGURES):
        return LayerComparison(MeanShifts({}, 0, LIMIT_REACHED))
    uncorrected = None
    if choice.shifts:
        uncorrected, _ = assemble(context.model, choice.layers, choice.ranges, {}, context.spec.export.opset)
    samples = context.held_out.halved().halved().spread(min(SAMPLES, context.calibration.used // PART))
    reported = subject_progress(correction_progress(progress), "the outputs of every layer")
    return compare_layers(context.graph, uncorrected, choice.model, context.comparable_layers, samples, reported)


def measure_bounds(choice: Choice) -> Bounds:
    """Return the bounds on the errors of layers and outputs over the box of the calibration set.

    Raises:
        ModelError: the float model does not run on the calibration set.
    """
    context = choice.context
    if not isinstance(context, CalibratedContext):
        return NO_BOX
    if context.spec.report == "weights":
        return NOT_ASKED
    if context.deadline.skips(FIGURES):
        return Bounds({}, {}, LIMIT_REACHED)
    return bound_errors(context.model, context.graph, choice.model, choice.layers, choice.ranges, context.calibration)


def measure_clipping(choice: Choice, evaluation: Dataset | None) -> dict[str, ClippedShare]:
    """Return the share of clipped activations on evaluation data, by the name of the layer that reads them.

    Nothing is measured without both data sets, or if the spec asks for a report on the weights only.

    Raises:
        ModelError: the float model does not run on the evaluation set.
    """
    context = choice.context
    if evaluation is None or not isinstance(context, CalibratedContext) or context.spec.report == "weights":
        return {}
    if context.deadline.skips(FIGURES):
        return {}
    return clipped_shares(context.graph, [layer.layer for layer in choice.layers], choice.ranges, evaluation)
