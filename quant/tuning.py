"""Choosing, on samples held out of the calibration set, between ways to quantize by the whole model's output."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from quant.bias_correction import Shifts, add_to_biases
from quant.calibration import ActivationRange
from quant.clipping.auto import Auto
from quant.clipping.minmax import MinMax
from quant.dataset import Dataset
from quant.errors import ExportError
from quant.evaluation import evaluate
from quant.expected_inputs import expected_shifts
from quant.export.qdq import ExportedWeight, export_qdq
from quant.graph.inventory import Layer, inventory
from quant.layers import QuantizedLayer, fit_bias, quantize_layers
from quant.metrics import OutputComparison
from quant.runtime import Session
from quant.second_moments import SecondMoments
from quant.spec import Spec, Weights
from quant.twin import LayerDifference, channel_axis, compare_layers

HELD_OUT, HALF = 4, 2
"""Every fourth batch of the calibration set is kept for the comparison; every other one where gates are decided on."""

Samples = Callable[[int, int, str], None]
"""Called with samples done, samples in all, and what is being tried."""


@dataclass(frozen=True)
class Candidate:
    """One way to quantize: the layers, the exported model, the difference at each layer before a correction, and the
    outputs compared with the float model's where it was compared with others."""

    name: str
    layers: list[QuantizedLayer]
    model: ir.Model
    before: Mapping[str, LayerDifference]
    outputs: OutputComparison | None = None

    @property
    def sqnr_db(self) -> float:
        return 0.0 if self.outputs is None else self.outputs.sqnr_db


@dataclass(frozen=True)
class Tuned:
    """The candidate that was kept, the SQNR of all by name where there were several, and the kept one's difference at
    each layer."""

    kept: Candidate
    compared: dict[str, float]
    after: Mapping[str, LayerDifference]


@dataclass(frozen=True)
class Setting:
    """What every candidate shares: the float model, its activations' ranges, the calibration set and the spec.

    `expected` are the moments of the layers' inputs that follow without data, `moments` those measured, where there
    is data.
    """

    model: ir.Model
    ranges: Mapping[str, ActivationRange]
    calibration: Dataset | None
    spec: Spec
    expected: Mapping[str, SecondMoments]
    moments: Mapping[str, SecondMoments]

    @property
    def fitting(self) -> Dataset:
        """What moments and corrections are measured on; requires a calibration set."""
        assert self.calibration is not None, "without data nothing is measured"
        return self.calibration.split(self._every)[0]

    @property
    def held_out(self) -> Dataset:
        """What candidates are compared on; requires a calibration set."""
        assert self.calibration is not None, "without data nothing is compared"
        return self.calibration.split(self._every)[1]

    @property
    def _every(self) -> int:
        return HELD_OUT if self.spec.objective == "fixed" else HALF

    @property
    def compared(self) -> list[Layer]:
        """The layers whose outputs can be compared channel by channel."""
        layers, _ = inventory(self.model)
        return [one for one in layers if one.node.graph is self.model.graph and channel_axis(one) is not None]


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
    setting: Setting,
    work: Sequence[tuple[Layer, Weights]],
    layers: Sequence[QuantizedLayer],
    progress: Samples,
) -> Tuned:
    """Quantize with and without bias correction and, where the bounds are left to us, with the bounds of MinMax;
    keep the one of the greatest output SQNR on held-out samples.

    Raises:
        ExportError: a quantized model does not run.
    """
    ways = {"": list(layers)}
    if any(isinstance(section.clipping, Auto) for _, section in work):
        plain = [(layer, _with_minmax(section)) for layer, section in work]
        fits = {done.layer.name: done.fitted for done in layers}
        ways["minmax"] = quantize_layers(plain, setting.moments, setting.spec, lambda *_: None, fits)
    tried = [one for way, chosen in ways.items() for one in candidates_of(setting, way, chosen, progress)]
    candidates = [_measured(setting, one, progress) for one in tried] if len(tried) > 1 else tried
    kept = max(candidates, key=lambda candidate: candidate.sqnr_db)
    after = _compare(setting, kept.model, setting.held_out, progress, feed_back=False)
    return Tuned(kept, {one.name: one.sqnr_db for one in candidates} if len(tried) > 1 else {}, after)


def best_of(setting: Setting, candidates: Sequence[Candidate], progress: Samples) -> Candidate:
    """The candidate of the greatest output SQNR on held-out samples, with its outputs compared there."""
    return max((_measured(setting, one, progress) for one in candidates), key=lambda candidate: candidate.sqnr_db)


def candidates_of(setting: Setting, way: str, layers: list[QuantizedLayer], progress: Samples) -> list[Candidate]:
    """What the spec's bias correction leaves to choose from."""
    mode = setting.spec.bias_correction
    name = f"{way or 'own'} bounds"
    if mode == "data_free":
        return [_made(setting, f"{name}, data-free", layers, expected_shifts(layers, setting.expected), {})]
    plain = _made(setting, name, layers, {}, {})
    if mode == "none" or not setting.compared:
        return [plain]
    before = _compare(setting, plain.model, setting.fitting, progress, feed_back=True)
    shifts = {layer: -one.shift for layer, one in before.items()}
    corrected = _made(setting, f"{name}, biases corrected", layers, shifts, before)
    return [corrected] if mode == "calibrated" else [corrected, plain]


def _made(
    setting: Setting,
    name: str,
    layers: list[QuantizedLayer],
    shifts: Shifts,
    before: Mapping[str, LayerDifference],
) -> Candidate:
    model, written = assemble(setting.model, layers, setting.ranges, shifts, setting.spec.export.opset)
    return Candidate(name, written, model, before)


def _measured(setting: Setting, candidate: Candidate, progress: Samples) -> Candidate:
    reference = Session(ir.to_proto(setting.model).SerializeToString(), "the float model")
    session = Session(ir.to_proto(candidate.model).SerializeToString(), "the quantized model", ExportError)
    name = candidate.name
    outputs = evaluate(reference, session, setting.held_out, lambda done, total: progress(done, total, name))
    return replace(candidate, outputs=outputs)


def _compare(
    setting: Setting, quantized: ir.Model, samples: Dataset, progress: Samples, *, feed_back: bool
) -> dict[str, LayerDifference]:
    return compare_layers(
        ir.to_proto(setting.model),
        ir.to_proto(quantized),
        setting.compared,
        samples,
        lambda done, total: progress(done, total, "the outputs of every layer"),
        feed_back=feed_back,
    )


def _with_minmax(section: Weights) -> Weights:
    return section.model_copy(update={"clipping": MinMax()}) if isinstance(section.clipping, Auto) else section
