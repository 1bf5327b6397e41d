"""Choosing, on samples held out of the calibration set, between ways to quantize by the whole model's output."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.activation_ranges import ActivationRange
from quant.calibration.input_moments import InferredMoments, Moments
from quant.calibration.observers import session_with_outputs
from quant.correction.data_free import expected_shifts
from quant.correction.twin import Correction, LayerDifference, compare_layers, find_corrections
from quant.data.dataset import Dataset
from quant.errors import ExportError
from quant.evaluation.compare import evaluate
from quant.evaluation.metrics import OutputComparison
from quant.export.bias import fit_bias
from quant.export.qdq import ExportedWeight, export_qdq
from quant.graph.biases import Shifts, add_to_biases
from quant.graph.inventory import Layer, inventory
from quant.graph.weightless import Weightless
from quant.methods.clipping.auto import Auto
from quant.methods.clipping.minmax import MinMax
from quant.progress import Samples
from quant.runtime import Session
from quant.spec import Spec, Weights
from quant.weights.layers import QuantizedLayer, quantize_layers

HELD_OUT, HALF = 4, 2
"""Every fourth batch of the calibration set is kept for the comparison; every other one where gates are decided on."""
CORRECTED_ON, REPORTED_ON = 64, 16
"""Samples: a bias corrected on n of them leaves 1 / n of the difference's variance, and each is dear in the twin. A
layer's SQNR on 16 images is 0.3 to 0.5 dB off that on many, on 8 up to twice as much (ResNet20, MobileNetV1)."""
TELLING_DB = 10.0
"""Below this SQNR the order of models without correction says little about that of the corrected ones."""


@dataclass(frozen=True)
class Candidate:
    """One way to quantize: the layers, the activations' ranges, the exported model, the difference at each layer before
    a correction, and the outputs compared with the float model's where it was compared with others."""

    name: str
    ranges: Mapping[str, ActivationRange]
    layers: list[QuantizedLayer]
    model: ir.Model
    before: Mapping[str, Correction]
    outputs: OutputComparison | None = None

    @property
    def sqnr_db(self) -> float:
        return 0.0 if self.outputs is None else self.outputs.sqnr_db


@dataclass(frozen=True)
class Tuned:
    """The candidate that was kept, and the SQNR of all by name where there were several."""

    kept: Candidate
    compared: dict[str, float]


@dataclass(frozen=True)
class SearchContext:
    """What every candidate shares: the float model, its activations' ranges, the calibration set and the spec.

    `expected` are the moments of the layers' inputs that follow without data, `moments` those measured, where there
    is data; `graph` is then the model's, to be run, and `recorded` its outputs of batches by their number, as far as
    they were kept. `other_ranges` are those of rules that are to be tried, too, by the rules' names.
    """

    model: ir.Model
    ranges: Mapping[str, ActivationRange]
    calibration: Dataset | None
    spec: Spec
    expected: Mapping[str, InferredMoments]
    moments: Mapping[str, Moments]
    graph: Weightless | None = None
    recorded: Mapping[int, Sequence[NDArray[np.generic]]] = field(default_factory=dict)
    other_ranges: Mapping[str, Mapping[str, ActivationRange]] = field(default_factory=dict)

    @property
    def each(self) -> "dict[str, SearchContext]":
        """The setting with the ranges of each rule alone, by what is to be said of it."""
        others = {f", ranges by {rule}": ranges for rule, ranges in self.other_ranges.items()}
        return {
            rule: replace(self, ranges=ranges, other_ranges={}) for rule, ranges in {"": self.ranges, **others}.items()
        }

    @property
    def fitting(self) -> Dataset:
        """What moments and corrections are measured on; requires a calibration set."""
        assert self.calibration is not None, "without data nothing is measured"
        return self.calibration.split(self._every)[0]

    @property
    def loadable(self) -> Weightless:
        """The float model's graph; requires a calibration set."""
        assert self.graph is not None, "without data nothing is run"
        return self.graph

    @property
    def held_out(self) -> Dataset:
        """What candidates are compared on; requires a calibration set."""
        assert self.calibration is not None, "without data nothing is compared"
        return self.calibration.split(self._every)[1]

    def float_outputs(self, part: Dataset) -> Iterator[Sequence[NDArray[np.generic]]]:
        """The float model's outputs for each batch of a part of the calibration set, recorded or computed."""
        missing = set(part.numbers) - set(self.recorded)
        session = session_with_outputs(self.loadable, ()) if missing else None
        for number, feeds in zip(part.numbers, part.batches(), strict=True):
            yield session.run(feeds) if session and number in missing else self.recorded[number]

    @property
    def _every(self) -> int:
        return HELD_OUT if self.spec.objective == "fixed" else HALF

    @property
    def compared(self) -> list[Layer]:
        """The layers whose outputs can be compared channel by channel."""
        layers, _ = inventory(self.model)
        return [one for one in layers if one.node.graph is self.model.graph and one.output_axis is not None]


def assemble(
    model: ir.Model,
    layers: Sequence[QuantizedLayer],
    ranges: Mapping[str, ActivationRange],
    shifts: Shifts,
    opset: int,
) -> tuple[ir.Model, list[QuantizedLayer]]:
    """A quantized copy of the model with the shifts added to its biases, and the layers as they were written."""
    copy = model.clone()
    found = {layer.name: layer for layer in inventory(copy)[0]}
    add_to_biases(list(found.values()), shifts)
    written = [fit_bias(replace(done, layer=found[done.layer.name]), ranges) for done in layers]
    export_qdq(copy, [ExportedWeight(done.layer, done.quantized, done.form) for done in written], ranges, opset)
    kept = [replace(done, layer=old.layer) for done, old in zip(written, layers, strict=True)]
    return copy, kept


def tune(
    setting: SearchContext,
    work: Sequence[tuple[Layer, Weights]],
    layers: Sequence[QuantizedLayer],
    progress: Samples,
) -> Tuned:
    """Quantize with and without bias correction and, where the bounds are left to us, with the bounds of MinMax and
    with the ranges of several rules; keep the one of the greatest output SQNR on held-out samples.

    Raises:
        ExportError: a quantized model does not run.
    """
    ways = {"own": list(layers)}
    if any(isinstance(section.clipping, Auto) for _, section in work):
        plain = [(layer, _with_minmax(section)) for layer, section in work]
        fits = {done.layer.name: done.fitted for done in layers}
        ways["minmax"] = quantize_layers(plain, setting.moments, setting.spec, lambda *_: None, fits)
    candidates = [
        replace(one, name=one.name + rule)
        for rule, alone in setting.each.items()
        for one in _candidates(alone, ways, progress)
    ]
    if len(candidates) > 1:
        candidates = [_measured(setting, one, progress) for one in candidates]
    kept = max(candidates, key=lambda candidate: candidate.sqnr_db)
    return Tuned(kept, {one.name: one.sqnr_db for one in candidates} if len(candidates) > 1 else {})


def layer_differences(setting: SearchContext, quantized: ir.Model, progress: Samples) -> Mapping[str, LayerDifference]:
    """What each layer's output differs by on some held-out samples, by the layer's name.

    Raises:
        ExportError: the models do not run as one.
    """
    few = setting.held_out.halved().spread(REPORTED_ON)
    return compare_layers(setting.loadable, quantized, setting.compared, few, _told(progress))


def label_candidate(setting: SearchContext, tuned: Tuned, what: str, progress: Samples) -> Tuned:
    """The same among others that were tuned: its outputs compared in any case, `what` behind all its names."""
    kept = _measured(setting, tuned.kept, progress)
    compared = tuned.compared or {kept.name: kept.sqnr_db}
    names = {name + what: sqnr for name, sqnr in compared.items()}
    return replace(tuned, kept=replace(kept, name=kept.name + what), compared=names)


def best_corrected(setting: SearchContext, layers: list[QuantizedLayer], progress: Samples) -> Candidate:
    """What bias correction makes of the layers, or leaves them as: the one of the greatest output SQNR on held-out
    samples, with its outputs compared there."""
    candidates = _candidates(setting, {"own": layers}, progress)
    return max((_measured(setting, one, progress) for one in candidates), key=lambda candidate: candidate.sqnr_db)


def _candidates(setting: SearchContext, ways: Mapping[str, list[QuantizedLayer]], progress: Samples) -> list[Candidate]:
    """What the spec's bias correction leaves to choose from; the best of several ways is corrected, or all of them
    where none works without it."""
    mode = setting.spec.bias_correction
    if mode == "data_free":
        shifts = {way: expected_shifts(layers, setting.expected) for way, layers in ways.items()}
        return [_made(setting, f"{way} bounds, data-free", ways[way], shifts[way], {}) for way in ways]
    plain = [_made(setting, f"{way} bounds", layers, {}, {}) for way, layers in ways.items()]
    if mode == "none" or not setting.compared:
        return plain
    if len(plain) > 1:
        plain = [_measured(setting, one, progress) for one in plain]
    best = max(plain, key=lambda candidate: candidate.sqnr_db)
    promising = plain if best.sqnr_db < TELLING_DB else [best]
    corrected = [_corrected(setting, one, progress) for one in promising]
    return corrected if mode == "calibrated" else [*corrected, *plain]


def _corrected(setting: SearchContext, plain: Candidate, progress: Samples) -> Candidate:
    samples = setting.fitting.halved().spread(CORRECTED_ON)
    before = find_corrections(setting.loadable, plain.model, setting.compared, samples, _told(progress))
    shifts = {layer: one.correction for layer, one in before.items()}
    return _made(setting, f"{plain.name}, biases corrected", plain.layers, shifts, before)


def _made(
    setting: SearchContext,
    name: str,
    layers: list[QuantizedLayer],
    shifts: Shifts,
    before: Mapping[str, Correction],
) -> Candidate:
    model, written = assemble(setting.model, layers, setting.ranges, shifts, setting.spec.export.opset)
    return Candidate(name, setting.ranges, written, model, before)


def _measured(setting: SearchContext, candidate: Candidate, progress: Samples) -> Candidate:
    if candidate.outputs is not None:
        return candidate
    session = Session(ir.to_proto(candidate.model).SerializeToString(), "the quantized model", ExportError)
    name, part = candidate.name, setting.held_out
    expected = setting.float_outputs(part)
    outputs = evaluate(expected, session, part, lambda done, total: progress(done, total, name))
    return replace(candidate, outputs=outputs)


def _told(progress: Samples) -> Callable[[int, int], None]:
    return lambda done, total: progress(done, total, "the outputs of every layer")


def _with_minmax(section: Weights) -> Weights:
    return section.model_copy(update={"clipping": MinMax()}) if isinstance(section.clipping, Auto) else section
