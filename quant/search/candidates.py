"""Candidates for the quantized model, and their comparison with the float model on held-out samples."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from quant.calibration.activation_ranges import ActivationRange
from quant.correction.data_free import expected_shifts
from quant.correction.twin import find_corrections
from quant.errors import ExportError
from quant.evaluation.compare import evaluate
from quant.evaluation.metrics import OutputComparison
from quant.export.bias import widen_scales_for_bias
from quant.export.qdq import ExportedWeight, export_qdq
from quant.graph.biases import Shifts, add_to_biases
from quant.graph.inventory import inventory
from quant.graph.random_values import random_tensors
from quant.progress import StepProgress, subject_progress
from quant.runtime import Session
from quant.search.context import CalibratedContext, RangeOption, Ranges, SearchContext, Work
from quant.search.ranking import Scores, best_position, scores
from quant.weights.clip_choice import rival_section
from quant.weights.layers import QuantizedLayer, quantize_layers

CORRECTION_SAMPLES, CORRECTION_PART, MIN_CORRECTION_SAMPLES = 64, 2, 8
"""Biases are corrected on half of the set, but at least 8 and at most 64 samples. The variance of a mean over n
samples is 1 / n of the variance of one sample, so that more samples bring little; each takes the time of seven float
runs."""
CORRECTION = "the correction of biases"
"""The name of the work that a deadline leaves out."""
ALLOCATED = "allocated bits"
"""The name of the weights whose formats a search decides."""
RELIABLE_DB = 10.0
"""SQNR below which the order of uncorrected candidates says little about the order of corrected ones."""


@dataclass(frozen=True)
class Candidate:
    """A quantized model that competes with others to be exported.

    Attributes:
        name: its name in the report: the clip bounds, the bias correction and the rule of the activation ranges.
        option: the activation ranges.
        layers: the quantized layers as they were exported.
        model: the quantized model, with the ranges over the whole calibration set.
        shifts: what was added to each layer's bias to correct it, by the layer's name; empty without bias correction.
    """

    name: str
    option: RangeOption
    layers: list[QuantizedLayer]
    model: ir.Model
    shifts: Shifts

    @property
    def ranges(self) -> Ranges:
        """The activation ranges by the tensor's name."""
        return self.option.ranges


@dataclass(frozen=True)
class MeasuredCandidate(Candidate):
    """A candidate whose outputs on held-out samples were compared with the float model's.

    `deciding` are the names of the outputs by which candidates are compared; all where there are none.
    """

    outputs: OutputComparison
    deciding: Collection[str] = ()

    @property
    def sqnr_db(self) -> float | None:
        """The SQNR of the outputs in dB; None where the outputs have none."""
        return self.outputs.sqnr_db

    @property
    def scores(self) -> Scores:
        """The scores of the outputs by which candidates are compared."""
        return scores(self.outputs, self.deciding)


def assemble(
    model: ir.Model,
    layers: Sequence[QuantizedLayer],
    ranges: Mapping[str, ActivationRange],
    shifts: Shifts,
    opset: int,
) -> tuple[ir.Model, list[QuantizedLayer]]:
    """Return a quantized copy of the model with `shifts` added to its biases, and the layers as they were exported.

    A layer's scale is widened where its bias would not fit int32 otherwise.
    """
    copy = model.clone()
    copied = {layer.name: layer for layer in inventory(copy)[0]}
    add_to_biases(list(copied.values()), shifts)
    on_copy = [replace(quantized, layer=copied[quantized.layer.name]) for quantized in layers]
    fitted = [widen_scales_for_bias(quantized, ranges) for quantized in on_copy]
    weights = [
        ExportedWeight(quantized.layer, quantized.quantized, quantized.form, quantized.float_bias)
        for quantized in fitted
    ]
    export_qdq(copy, weights, ranges, opset)
    return copy, [replace(after, layer=before.layer) for after, before in zip(fitted, layers, strict=True)]


def build_candidates(
    context: CalibratedContext, work: Work, layers: list[QuantizedLayer], progress: StepProgress
) -> list[Candidate]:
    """Return the candidates for every rule of activation ranges, and those with bias correction.

    Where the spec's clipping method is `auto`, candidates with MinMax bounds are compared with those of fitted bounds,
    unless a search decides the formats of the weights: it would take twice the time.

    Raises:
        ExportError: a quantized model does not run.
    """
    by_bounds = {ALLOCATED: layers} if context.spec.allocates else _weights_by_bounds(context, work, layers)
    return corrected_candidates(context, context.range_options, by_bounds, progress)


def measure_in_time(
    context: CalibratedContext, candidates: Sequence[Candidate], progress: StepProgress
) -> list[MeasuredCandidate]:
    """Return the candidates with their outputs compared on held-out samples, the first at least, until the deadline.

    Raises:
        ExportError: a quantized model does not run.
    """
    measured: list[MeasuredCandidate] = []
    for candidate in candidates:
        if measured and context.deadline.skips("the comparison of candidates"):
            break
        measured.append(measure(context, candidate, progress))
    return measured


def measure(context: CalibratedContext, candidate: Candidate, progress: StepProgress) -> MeasuredCandidate:
    """Return the candidate with its outputs compared on held-out samples, if they were not compared before.

    The model that is compared has the activation ranges without the held-out samples.

    Raises:
        ExportError: the quantized model does not run.
    """
    if isinstance(candidate, MeasuredCandidate):
        return candidate
    data = ir.to_proto(_judged_model(context, candidate)).SerializeToString()
    session = Session(data, "the quantized model", ExportError)
    samples = context.held_out
    expected = context.float_outputs(samples)
    reported = subject_progress(progress, candidate.name)
    outputs = evaluate(
        expected,
        session,
        samples,
        reported,
        random_tensors(context.model.graph),
        by_channel=True,
        spec=context.spec,
        with_tasks=context.spec.searches_by_task,
    )
    return MeasuredCandidate(
        name=candidate.name,
        option=candidate.option,
        layers=candidate.layers,
        model=candidate.model,
        shifts=candidate.shifts,
        outputs=outputs,
        deciding=context.spec.evaluation.outputs,
    )


def _judged_model(context: CalibratedContext, candidate: Candidate) -> ir.Model:
    """Return the quantized model with the activation ranges without the held-out samples."""
    judging = candidate.option.judging
    if judging == candidate.ranges:
        return candidate.model
    return assemble(context.model, candidate.layers, judging, candidate.shifts, context.spec.export.opset)[0]


def measured_corrected(
    context: CalibratedContext, layers: list[QuantizedLayer], progress: StepProgress
) -> list[MeasuredCandidate]:
    """Return the layers with and without corrected biases, their outputs compared on held-out samples.

    Raises:
        ExportError: a quantized model does not run.
    """
    candidates = corrected_candidates(context, {"": context.first_ranges}, {ALLOCATED: layers}, progress)
    return [measure(context, candidate, progress) for candidate in candidates]


def best_corrected(
    context: CalibratedContext, layers: list[QuantizedLayer], progress: StepProgress
) -> MeasuredCandidate:
    """Return the layers with or without corrected biases, whichever has the better outputs on held-out samples.

    Raises:
        ExportError: a quantized model does not run.
    """
    return best_measured(measured_corrected(context, layers, progress))


def best_measured(candidates: Sequence[MeasuredCandidate]) -> MeasuredCandidate:
    """Return the candidate with the least loss on its worst output."""
    return candidates[best_position([candidate.scores for candidate in candidates])]


def _weights_by_bounds(
    context: CalibratedContext, work: Work, layers: list[QuantizedLayer]
) -> dict[str, list[QuantizedLayer]]:
    """Return the quantized layers by the name of their clip bounds, MinMax among them where the spec says `auto`."""
    if all(section.clipping.rival is None for _, section in work):
        return {"specified bounds": layers}
    if context.deadline.skips("the comparison with MinMax bounds"):
        fitted = any(layer.spec.clipping.rival is not None for layer in layers)
        return {"fitted bounds" if fitted else "MinMax bounds": layers}
    minmax = [(layer, rival_section(section)) for layer, section in work]
    fits = {quantized.layer.name: quantized.fitted for quantized in layers}
    rival = quantize_layers(minmax, context.moments, context.spec, lambda *_: None, fits)
    return {"fitted bounds": layers, "MinMax bounds": rival}


def corrected_candidates(
    context: CalibratedContext,
    options: Mapping[str, RangeOption],
    by_bounds: Mapping[str, list[QuantizedLayer]],
    progress: StepProgress,
) -> list[Candidate]:
    """Return the candidates for rules of activation ranges, as the spec's bias correction asks for them.

    Correction is expensive: only the best of several candidates is corrected. Where it is below `RELIABLE_DB` without
    correction, the best of each kind of bounds is.

    Args:
        context: the variant of the float model.
        options: the activation ranges of each rule, by the suffix of its candidates' names.
        by_bounds: the quantized layers, by the name of their clip bounds.
        progress: receives the samples completed.

    Raises:
        ExportError: a quantized model does not run.
    """
    mode = context.spec.bias_correction
    if mode == "data_free":
        shifts = {bounds: expected_shifts(layers, context.inferred) for bounds, layers in by_bounds.items()}
        return [
            assemble_candidate(context, f"{bounds}, data-free correction{suffix}", option, layers, shifts[bounds])
            for suffix, option in options.items()
            for bounds, layers in by_bounds.items()
        ]
    candidates: list[Candidate] = [
        assemble_candidate(context, f"{bounds}{suffix}", option, layers, {})
        for suffix, option in options.items()
        for bounds, layers in by_bounds.items()
    ]
    if mode == "none" or not context.comparable_layers or context.deadline.skips(CORRECTION):
        return candidates
    promising = candidates
    if len(candidates) > 1:
        measured = measure_in_time(context, candidates, progress)
        candidates, promising = [*measured], _promising(measured, [*by_bounds])
    in_time = (candidate for candidate in promising if not context.deadline.skips(CORRECTION))
    corrected = [_corrected(context, candidate, options, progress) for candidate in in_time]
    return corrected if mode == "calibrated" and corrected else [*corrected, *candidates]


def _promising(candidates: Sequence[MeasuredCandidate], kinds: Sequence[str]) -> list[Candidate]:
    """Return the best of the uncorrected candidates, or of each kind of bounds where that is below `RELIABLE_DB`."""
    best = best_measured(candidates)
    if best.sqnr_db is not None and best.sqnr_db >= RELIABLE_DB:
        return [best]
    groups = [[candidate for candidate in candidates if candidate.name.startswith(kind)] for kind in kinds]
    return [best_measured(group) for group in groups if group]


def _corrected(
    context: CalibratedContext, plain: Candidate, options: Mapping[str, RangeOption], progress: StepProgress
) -> Candidate:
    """Return the candidate with its biases corrected by what is measured on the fitting part of the set."""
    suffix = next(suffix for suffix, option in options.items() if option is plain.option)
    shifts = measured_shifts(context, plain.model, progress)
    name = f"{plain.name.removesuffix(suffix)}, corrected biases{suffix}"
    return assemble_candidate(context, name, plain.option, plain.layers, shifts)


def measured_shifts(context: CalibratedContext, quantized: ir.Model, progress: StepProgress) -> Shifts:
    """Return what corrects the biases of a quantized model, measured on the fitting part of the set.

    Requires that the model's biases are not corrected yet.
    """
    count = max(context.calibration.used // CORRECTION_PART, MIN_CORRECTION_SAMPLES)
    samples = context.fitting.halved().spread(min(count, CORRECTION_SAMPLES))
    reported = subject_progress(progress, "the outputs of every layer")
    corrections = find_corrections(context.graph, quantized, context.comparable_layers, samples, reported)
    return {layer: correction.correction for layer, correction in corrections.items()}


def with_layers(
    context: CalibratedContext,
    name: str,
    layers: list[QuantizedLayer],
    option: RangeOption,
    shifts: Shifts,
    progress: StepProgress,
    *,
    correct: bool = False,
) -> Candidate:
    """Return a candidate with other layers than one whose biases `shifts` corrects.

    Measured corrections are measured again: those of later layers made up for errors that may be gone. With `correct`,
    biases are corrected even if there are no `shifts`.

    Raises:
        ExportError: the quantized model does not run.
    """
    if correct or (shifts and context.spec.bias_correction != "data_free"):
        uncorrected, _ = assemble(context.model, layers, option.ranges, {}, context.spec.export.opset)
        shifts = measured_shifts(context, uncorrected, progress)
    return assemble_candidate(context, name, option, layers, shifts)


def assemble_candidate(
    context: SearchContext,
    name: str,
    option: RangeOption,
    layers: list[QuantizedLayer],
    shifts: Shifts,
) -> Candidate:
    """Return the candidate of these layers, with the ranges over the whole calibration set.

    Args:
        context: the variant of the float model.
        name: the candidate's name in the report.
        option: the activation ranges.
        layers: the quantized layers.
        shifts: what is added to each layer's bias, by the layer's name.
    """
    model, exported = assemble(context.model, layers, option.ranges, shifts, context.spec.export.opset)
    return Candidate(name, option, exported, model, shifts)
