"""The context of a search: one variant of the float model, its layers, and statistics of its activations."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange, RangeObserver, tie, unlike_concatenations
from quant.calibration.batch_inputs import BatchInputObserver, BatchInputs
from quant.calibration.inferred_moments import infer_input_moments
from quant.calibration.input_moments import InferredMoments, InputMean, Moments
from quant.calibration.moment_observer import MomentObserver
from quant.calibration.observers import OutputRecorder, observe, session_with_outputs
from quant.calibration.synthetic_calibration import SyntheticCalibration, calibrate_synthetically
from quant.data.dataset import Dataset
from quant.deadline import UNLIMITED, Deadline
from quant.export.ceilings import within_ceilings
from quant.export.compact import compact
from quant.export.load_time_biases import store_biases_as_floats
from quant.export.serialize import stamp
from quant.graph.activation_sites import compared_tensors
from quant.graph.inventory import Layer, Skipped, inventory
from quant.graph.placement import place
from quant.graph.random_values import random_tensors
from quant.graph.value_shapes import value_shaped
from quant.graph.weightless import Weightless, weightless
from quant.outcome.stages import Stage
from quant.progress import Progress, sample_progress
from quant.search.variants import Variant
from quant.spec import Spec, Weights
from quant.weights.layers import choose_layers, needs_moments
from quant.weights.storage_form import has_static_range, is_plain_matmul

Work = Sequence[tuple[Layer, Weights]]
"""The layers to quantize, each with its section of the spec."""
Ranges = Mapping[str, ActivationRange]
"""The activation ranges by the tensor's name."""


@dataclass(frozen=True)
class RangeOption:
    """The activation ranges of one rule.

    Attributes:
        ranges: the ranges over the whole calibration set, which are exported.
        judging: the ranges without the held-out samples. Candidates are compared with these: on the exported ranges,
            the held-out samples would never be clipped.
    """

    ranges: Ranges
    judging: Ranges


NO_RANGES = RangeOption({}, {})
"""The option that leaves all activations in float."""

MIN_LINEAR_SHARE = 0.5
"""The least share of MatMul and Gemm among the layers for which dynamic ranges are tried."""
HELD_OUT, HELD_OUT_FOR_GATES = 4, 2
"""Every fourth batch of the calibration set is held out to compare candidates; every second where gates decide."""


@dataclass(frozen=True)
class Source:
    """The float model's size in bytes, and the SHA-256 of the upload that it came from."""

    size: int
    sha256: str


@dataclass(frozen=True)
class _Context:
    """A variant of the float model, its layers to quantize (`work`) and the nodes that stay in float (`skipped`).

    The search ends at the `deadline`.
    """

    variant: Variant
    spec: Spec
    source: Source
    work: Work
    skipped: Sequence[Skipped]
    deadline: Deadline

    @property
    def model(self) -> ir.Model:
        """The float model of this variant."""
        return self.variant.model

    def export(self, quantized: ir.Model) -> bytes:
        """Return a quantized copy of the model as a file; if bits are allocated, it is made smaller in place first."""
        if self.spec.allocates:
            if self.spec.export.bias == "auto" and self.spec.export.target.fast_storage:
                store_biases_as_floats(quantized)
            compact(quantized, {layer.name for layer, _ in self.work})
        return within_ceilings(stamp(quantized, self.spec, self.source.sha256), self.spec.export)


@dataclass(frozen=True)
class DataFreeContext(_Context):
    """A context without calibration data.

    Attributes:
        moments: the moments of the layers' inputs, by the layer's name: inferred from BatchNormalization, or measured
            on synthetic inputs.
        synthetic: the calibration on synthetic inputs; None if it was not needed.
        compares: True if candidates are compared on other synthetic inputs; False where the spec excludes these, or no
            time is left for them.
    """

    moments: Mapping[str, InferredMoments]
    synthetic: SyntheticCalibration | None = None
    compares: bool = False

    @property
    def range_options(self) -> Mapping[str, RangeOption]:
        """The only option: no activation is quantized."""
        return {"": NO_RANGES}


@dataclass(frozen=True)
class CalibratedContext(_Context):
    """A context with calibration data.

    Attributes:
        calibration: the whole calibration set.
        fitting: the part of the set on which moments and corrections are measured.
        held_out: the part on which candidates are compared.
        graph: the float model's graph, ready to run.
        moments: the measured moments of the layers' inputs, by the layer's name; empty once the weights are quantized.
        means: the means of the same inputs.
        inferred: the moments that BatchNormalization implies; empty unless biases are corrected without data.
        range_options: the activation ranges of each rule to compare, by the suffix of its candidates' names; the suffix
            of the first rule is empty.
        recorded: the outputs of the float model that were recorded, by the number of the batch.
        batch_inputs: the held-out inputs of the layers whose range may be dynamic, by the tensor's name.
    """

    calibration: Dataset
    fitting: Dataset
    held_out: Dataset
    graph: Weightless
    moments: Mapping[str, Moments]
    means: Mapping[str, InputMean]
    inferred: Mapping[str, InferredMoments]
    range_options: Mapping[str, RangeOption]
    recorded: Mapping[int, Sequence[NDArray[np.generic]]]
    batch_inputs: BatchInputs = field(default_factory=dict)

    @property
    def tries_dynamic(self) -> bool:
        """True if layers have static ranges that are compared with dynamic ones."""
        return bool(self.batch_inputs)

    @property
    def first_ranges(self) -> RangeOption:
        """The activation ranges of the first rule."""
        return next(iter(self.range_options.values()))

    def option_for(self, option: RangeOption, layers: Sequence[Layer]) -> RangeOption:
        """Return the ranges of an option that are needed where only these layers compute with integers."""
        values = frozenset(place(self.model.graph, layers, self.spec.exclude_operators).values)
        return RangeOption(*(
            {name: activation for name, activation in ranges.items() if name in values}
            for ranges in (option.ranges, option.judging)
        ))  # fmt: skip

    @property
    def comparable_layers(self) -> list[Layer]:
        """The layers whose outputs can be compared channel by channel.

        Those whose shape depends on values, and those that depend on random numbers, are left out.
        """
        layers, _ = inventory(self.model)
        graph = self.model.graph
        left_out = value_shaped(graph) | random_tensors(graph)
        candidates = [layer for layer in layers if layer.node.graph is graph and layer.output_axis is not None]
        return [layer for layer in candidates if left_out.isdisjoint(compared_tensors(layer))]

    def float_outputs(self, part: Dataset) -> Iterator[Sequence[NDArray[np.generic]]]:
        """Yield the float model's outputs for each batch of a part of the calibration set, recorded or computed."""
        missing = set(part.numbers) - set(self.recorded)
        session = session_with_outputs(self.graph, ()) if missing else None
        for number, feeds in zip(part.numbers, part.batches(), strict=True):
            yield session.run(feeds) if session and number in missing else self.recorded[number]


SearchContext = CalibratedContext | DataFreeContext


def calibrate(
    variant: Variant,
    calibration: Dataset | None,
    spec: Spec,
    source: Source,
    progress: Progress,
    deadline: Deadline = UNLIMITED,
) -> SearchContext:
    """Return the context of a variant; the float model runs once over the calibration set, if there is one.

    Raises:
        QuantdError: as `choose_layers` and `observe` do.
    """
    work, skipped = choose_layers(variant.model, spec, calibrated=calibration is not None)
    if calibration is None:
        known, synthetic = _known_without_data(variant, work, spec, deadline)
        compares = spec.synthetic_inputs != "none" and not deadline.is_over
        return DataFreeContext(variant, spec, source, work, skipped, deadline, known, synthetic, compares)
    data_free = spec.bias_correction == "data_free"
    inferred = infer_input_moments(variant.model, [layer for layer, _ in work], variant.normals) if data_free else {}
    fitting, held_out = calibration.split(HELD_OUT if spec.objective == "fixed" else HELD_OUT_FOR_GATES)
    graph = weightless(variant.model)
    moments = MomentObserver(variant.model, _observed_layers(work, spec), fitting)
    outputs = OutputRecorder(variant.model, held_out)
    ranges = _RangeOptions(variant.model, work, spec, () if held_out is fitting else held_out.numbers)
    inputs = BatchInputObserver(_dynamic_candidates(variant.model, work, spec), held_out)
    if spec.activations is not None or any(_needs_moments(section, spec) for _, section in work):
        reported = sample_progress(progress, Stage.CALIBRATING)
        observe(graph, calibration, [moments, *ranges.observers, outputs, inputs], reported, deadline)
    measured = moments.moments()
    return CalibratedContext(
        variant=variant,
        spec=spec,
        source=source,
        work=work,
        skipped=skipped,
        deadline=deadline,
        calibration=calibration,
        fitting=fitting,
        held_out=held_out,
        graph=graph,
        moments=measured,
        means={name: InputMean(moment.mean) for name, moment in measured.items()},
        inferred=inferred,
        range_options=ranges.options(),
        recorded=outputs.recorded,
        batch_inputs=inputs.inputs,
    )


def _known_without_data(
    variant: Variant, work: Work, spec: Spec, deadline: Deadline
) -> tuple[Mapping[str, InferredMoments], SyntheticCalibration | None]:
    """Return the moments of the layers' inputs without data, and the synthetic calibration if any layer needs it.

    Synthetic inputs are for layers whose moments do not follow from BatchNormalization.
    """
    model, layers = variant.model, [layer for layer, _ in work]
    inferred = infer_input_moments(model, layers, variant.normals)
    corrects = spec.bias_correction != "none"
    unknown = [
        layer for layer, section in work if layer.name not in inferred and (corrects or _needs_moments(section, spec))
    ]
    if not unknown or spec.synthetic_inputs == "none" or deadline.skips("the calibration on synthetic inputs"):
        return inferred, None
    synthetic = calibrate_synthetically(model, unknown, spec.seed, deadline)
    return {**synthetic.moments, **inferred}, synthetic


def _observed_layers(work: Work, spec: Spec) -> list[tuple[Layer, bool]]:
    """Return the layers whose inputs are observed, each with True if it needs all second moments, not a sample."""
    return [
        (layer, section.rounding.needs_moments or spec.allocates)
        for layer, section in work
        if _needs_moments(section, spec)
    ]


def _dynamic_candidates(model: ir.Model, work: Work, spec: Spec) -> list[str]:
    """Return the inputs of the layers that may have static or dynamic ranges, whichever is better.

    A search for bits keeps static ranges: it would take twice the time. So does a network of which such layers are less
    than half, as the classifier behind convolutions: the rest would have static ranges in any case.
    """
    if not compares_dynamic([layer for layer, _ in work], spec):
        return []
    layers = [layer for layer, _ in work if is_plain_matmul(layer) and layer.graph is model.graph]
    return list(dict.fromkeys(str(layer.operand(layer.input_index).name) for layer in layers))


def compares_dynamic(layers: Sequence[Layer], spec: Spec) -> bool:
    """Return True if dynamic ranges are compared with static ones for a model with these layers to quantize."""
    linear = sum(is_plain_matmul(layer) for layer in layers)
    return spec.may_be_dynamic and not spec.allocates and 0 < linear >= MIN_LINEAR_SHARE * len(layers)


def _needs_moments(section: Weights, spec: Spec) -> bool:
    return needs_moments(section) or spec.allocates


class _RangeOptions:
    """The activation ranges of every rule that the spec compares, observed in one run."""

    def __init__(self, model: ir.Model, work: Work, spec: Spec, held_out: Collection[int]) -> None:
        self.observers: list[RangeObserver] = []
        if spec.activations is not None:
            layers = [layer for layer, _ in work if has_static_range(layer, spec)]
            self._place = partial(place, model.graph, layers, spec.exclude_operators)
            self._graph, self._placement = model.graph, self._place()
            self.observers = [RangeObserver(model.graph, self._placement.observed, spec.activations, held_out)]

    def options(self) -> dict[str, RangeOption]:
        """Return the ranges of each rule by the suffix of its candidates' names; the first suffix is empty."""
        if not self.observers:
            return {"": NO_RANGES}
        ranges, judging = self.observers[0].ranges(), self.observers[0].fitting_ranges()
        suffixes = ["", *(f", ranges by {rule}" for rule in list(ranges)[1:])]
        return {
            suffix: RangeOption(*self._placed(ranges[rule], judging[rule]))
            for suffix, rule in zip(suffixes, ranges, strict=True)
        }

    def _placed(self, *options: Ranges) -> list[Ranges]:
        """Return the ranges of tied values, too, and no range of concatenations that one scale would serve badly."""
        tied = [tie(ranges, self._placement.ties) for ranges in options]
        unlike = unlike_concatenations(self._graph, tied[0])
        values = self._place(unlike).values if unlike else self._placement.values
        return [{name: ranges[name] for name in values} for ranges in tied]
