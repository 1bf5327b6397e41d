"""The forms of a model that are decided on, each with all that the decisions rest on, and the best of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from quant.calibration.activation_ranges import RangeObserver, tie
from quant.calibration.batchnorm_moments import Normal, expected_moments, rescaled
from quant.calibration.input_moments import MomentObserver
from quant.calibration.observers import Observer, OutputRecorder, observe
from quant.data.dataset import Dataset
from quant.equalization.bias_absorption import absorb_biases
from quant.equalization.cross_layer import equalize
from quant.export.compact import compact
from quant.export.serialize import stamp
from quant.graph.inventory import Skipped
from quant.graph.placement import place
from quant.graph.weightless import weightless
from quant.outcome.stages import Stage
from quant.progress import Progress, correction_progress, sample_progress
from quant.search.candidates import SearchContext, label_candidate
from quant.search.decide import Decision, Sizes, Work, decide
from quant.spec import Spec
from quant.weights.layers import choose_layers, needs_moments


@dataclass(frozen=True)
class Variant:
    """One form of the model with what was decided on it; `name` tells it from the others."""

    name: str
    setting: SearchContext
    work: Work
    skipped: list[Skipped]
    origin: str
    decision: Decision

    def exported(self, made: ir.Model) -> bytes:
        return _exported(made, self.work, self.setting.spec, self.origin)


def _exported(made: ir.Model, work: Work, spec: Spec, origin: str) -> bytes:
    if spec.allocates:
        compact(made, {layer.name for layer, _ in work})
    return stamp(made, spec, origin)


def equalized_forms(
    model: ir.Model, promises: Mapping[str, Normal], spec: Spec, *, calibrated: bool
) -> dict[str, tuple[ir.Model, Mapping[str, Normal]]]:
    """The forms of the model to decide on, with what BatchNorm promises of each: with data `auto` has both."""
    plain = {"": (model, promises)}
    if spec.equalization == "none" or (spec.equalization == "auto" and not calibrated):
        return plain
    other = model.clone() if spec.equalization == "auto" else model
    factors = equalize(other)
    promises = rescaled(promises, factors)
    if spec.activations is not None:
        promises = absorb_biases(other, promises)
    if spec.equalization == "cross_layer":
        return {"": (other, promises)}
    return {**plain, ", equalized": (other, promises)} if factors else plain


def attempt(
    name: str,
    model: ir.Model,
    calibration: Dataset | None,
    spec: Spec,
    promises: Mapping[str, Normal],
    source: tuple[int, str],
    progress: Progress,
) -> Variant:
    """Decide on one form of the model; `source` is the upload's size in bytes, and its SHA-256.

    Raises:
        QuantdError: as `choose_layers`, `observe` and `decide` do.
    """
    size, origin = source
    work, skipped = choose_layers(model, spec)
    setting = _setting(model, work, calibration, spec, promises, progress)
    sizes = Sizes(size, lambda made: len(_exported(made, work, spec, origin)))
    return Variant(name, setting, work, skipped, origin, decide(setting, work, sizes, progress))


def best(tries: Sequence[Variant], progress: Progress) -> Variant:
    """The one of the greatest output SQNR on held-out samples, with all that were compared in its report.

    Requires: calibration data.
    """
    tuned = []
    for one in tries:
        assert one.decision.tuned is not None, "with data everything is tuned"
        tuned.append(label_candidate(one.setting, one.decision.tuned, one.name, correction_progress(progress)))
    first = max(range(len(tries)), key=lambda number: tuned[number].kept.sqnr_db)
    compared = {name: sqnr for one in tuned for name, sqnr in one.compared.items()}
    return replace(
        tries[first], decision=replace(tries[first].decision, tuned=replace(tuned[first], compared=compared))
    )


def _setting(
    model: ir.Model,
    work: Work,
    calibration: Dataset | None,
    spec: Spec,
    promises: Mapping[str, Normal],
    progress: Progress,
) -> SearchContext:
    """What all decisions rest on: the moments of the layers' inputs, and the activations' ranges."""
    data_free = calibration is None or spec.bias_correction == "data_free"
    expected = expected_moments(model, [layer for layer, _ in work], promises) if data_free else {}
    if calibration is None:
        return SearchContext(model, {}, None, spec, expected, expected)
    graph = weightless(model)
    setting = SearchContext(model, {}, calibration, spec, expected, {}, graph)
    looking = [
        (layer, section.rounding.needs_moments or spec.allocates)
        for layer, section in work
        if needs_moments(section) or spec.allocates
    ]
    moments = MomentObserver(model, looking, setting.fitting)
    outputs = OutputRecorder(model, setting.held_out)
    observers: list[Observer] = [moments] if looking else []
    if spec.activations is not None:
        placement = place(model.graph, [layer for layer, _ in work if layer.float_only is None])
        seen = RangeObserver(model.graph, placement.observed, spec.activations)
        observers.append(seen)
    if observers:
        observe(graph, calibration, [*observers, outputs], sample_progress(progress, Stage.CALIBRATING))
    setting = replace(setting, moments=moments.moments(), recorded=outputs.kept)
    if spec.activations is None:
        return setting
    first, *others = ((rule, tie(ranges, placement.ties)) for rule, ranges in seen.ranges().items())
    return replace(setting, ranges=first[1], other_ranges=dict(others))
