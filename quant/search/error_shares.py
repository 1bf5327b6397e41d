"""The shares of the layers in the error at the model's output: each layer's weights are quantized alone.

The error of a layer alone is measured in the float model with only this layer's weights replaced. The share of a layer
is its error divided by the sum over all layers. See docs/methods.md, 'Shares of the output error'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from quant.correction.data_free import expected_shifts
from quant.data.dataset import Dataset
from quant.deadline import LIMIT_REACHED
from quant.errors import ExportError
from quant.export.dynamic import round_input
from quant.graph.inventory import inventory
from quant.graph.names import Names
from quant.graph.random_values import random_tensors
from quant.progress import Progress, correction_progress, subject_progress
from quant.runtime import Session
from quant.search.candidates import assemble
from quant.search.choice import Choice
from quant.search.context import CalibratedContext
from quant.search.sensitivity import Sensitivity, can_be_changed, measure_sensitivity
from quant.weights.storage_form import StorageForm

MAX_SAMPLES = 8
"""The most samples for each layer. The standard error of a large share is then 10 to 25 % of it (ResNet20)."""
PART = 4
"""The layers together are run on as many samples as a quarter of the calibration set has."""
SMALL_RUNS = 64
"""For a set of up to 256 samples, they are run on as many samples as it has, up to 64."""
NO_DATA = "without calibration data nothing is measured"
NOT_ASKED = "the spec asks for a report on the weights alone"
RANDOM = "the model draws random numbers, which differ in every run"
NO_ERROR = "no layer causes an error at the output when it is quantized alone"
NOT_FINITE = "the energy of the outputs or of the error is zero or not finite"
NOT_ALONE = "no layer can be changed alone: all lie in the bodies of nodes"
TOO_FEW = "one run of the model for each layer takes too long for a calibration set of so few samples"
ALL, ACTIVATIONS = "all", "activations"
"""The names of the models that are compared on the same samples."""


@dataclass(frozen=True)
class LayerShare:
    """The share of one layer, as a fraction of the sum over the layers.

    Attributes:
        value: the error that the layer causes alone, divided by the sum of these errors over all layers.
        standard_error: the standard error of `value`, from its variation between batches; None for one batch.
    """

    value: float
    standard_error: float | None


@dataclass(frozen=True)
class ErrorShares:
    """The shares of all layers, measured on the same samples.

    The energies are of the error at the model's outputs, as fractions of the energy of the outputs.

    Attributes:
        layers: the shares by the layer's name; layers that cannot be changed alone are missing.
        samples: the calibration samples that were run for each layer.
        reason: why there are no shares; None if there are.
        weights: the sum over the layers of the error that each causes alone.
        activations: the error with all activations quantized and all weights in float; None if none is quantized.
        all: the error of the quantized model.
        quantities: True if the outputs hold quantities; otherwise the energies are numbers of changed values.
    """

    layers: Mapping[str, LayerShare] = field(default_factory=dict)
    samples: int = 0
    reason: str | None = NO_DATA
    weights: float | None = None
    activations: float | None = None
    all: float | None = None
    quantities: bool = True

    @property
    def total(self) -> float:
        """The error of weights and activations together, or that of the quantized model where it is larger."""
        return total_error(self.weights, self.activations, self.all)

    @property
    def add_up(self) -> bool:
        """True if the error of the quantized model is at least half of the sum of the errors of its parts."""
        return self.all is None or self.all >= 0.5 * self.total


def total_error(weights: float | None, activations: float | None, everything: float | None) -> float:
    """Return the error of weights and activations together, or that of the quantized model where it is larger."""
    return max((weights or 0.0) + (activations or 0.0), everything or 0.0)


def measure_error_shares(choice: Choice, quantized: Session, progress: Progress) -> ErrorShares:
    """Return the layers' shares of the output error on held-out samples.

    The runs of all layers together cost about as much as half a run of the float model over the calibration set, and no
    more than two runs over a small set.

    Args:
        choice: the chosen candidate.
        quantized: its exported model.
        progress: receives the samples completed.

    Raises:
        ModelError: the float model does not run on the samples.
        ExportError: the quantized model does not run on the samples.
    """
    context = choice.context
    if not isinstance(context, CalibratedContext):
        return ErrorShares()
    if context.spec.report == "weights":
        return ErrorShares(reason=NOT_ASKED)
    if random_tensors(context.model.graph):
        return ErrorShares(reason=RANDOM)
    if context.deadline.skips("the shares of the layers in the error"):
        return ErrorShares(reason=LIMIT_REACHED)
    changes = {layer.layer.name: [layer] for layer in choice.layers if can_be_changed(layer.layer, context.model)}
    samples = _few_samples(context, len(changes))
    if not changes or samples is None:
        return ErrorShares(reason=TOO_FEW if changes else NOT_ALONE)
    shifts = expected_shifts([layer for change in changes.values() for layer in change], context.means)
    models = {ALL: quantized} | ({ACTIVATIONS: _with_quantized_activations(choice)} if _rounds_inputs(choice) else {})
    reported = subject_progress(correction_progress(progress), "one layer at a time")
    sensitivity = measure_sensitivity(
        context.model, changes, shifts if choice.shifts else {}, samples, reported, models, side_by_side=True
    )
    return _shares(sensitivity)


def _few_samples(context: CalibratedContext, layers: int) -> Dataset | None:
    """Return the held-out samples that are run for each layer, in batches as small as the model allows.

    None if one sample for each layer is more than the cost allows.
    """
    used = context.calibration.used
    runs = max(used // PART, min(SMALL_RUNS, used))
    count = min(MAX_SAMPLES, runs // max(layers, 1))
    samples = context.held_out
    while (smaller := samples.halved()).batch < samples.batch:
        samples = smaller
    samples = samples.spread(count)
    return samples if count and samples.used * layers <= 2 * runs else None


def _shares(sensitivity: Sensitivity) -> ErrorShares:
    """Return the shares and the sum of the errors; without shares where they cannot be formed.

    With n_b the error of a layer in batch b, T_b the sum of all layers' and s the share, the standard error of s is

        sqrt(B / (B - 1) sum_b (n_b - s T_b)^2) / sum_b T_b.
    """
    noises, signal = np.stack(list(sensitivity.noises.values())), sensitivity.signal
    total = float(noises.sum())
    if not (np.isfinite(total) and np.isfinite(signal) and signal > 0):
        return ErrorShares(reason=NOT_FINITE)
    errors = _standard_errors(noises, noises.sum(axis=1) / total) if total > 0 else None
    layers = {
        name: LayerShare(float(noise.sum()) / total, None if errors is None else float(errors[number]))
        for number, (name, noise) in enumerate(sensitivity.noises.items() if total > 0 else ())
    }
    energies = {name: noise / signal for name, noise in sensitivity.models.items() if np.isfinite(noise)}
    return ErrorShares(
        layers=layers,
        samples=sensitivity.samples,
        reason=None if layers else NO_ERROR,
        weights=total / signal,
        activations=energies.get(ACTIVATIONS),
        all=energies.get(ALL),
        quantities=sensitivity.quantities,
    )


def _standard_errors(noises: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the standard error of each share (L,) from errors (L, B); None for one batch."""
    batches = noises.shape[1]
    if batches < 2:
        return None
    deviations = noises - shares[:, None] * noises.sum(axis=0)
    errors: NDArray[np.float64] = np.sqrt(batches / (batches - 1) * (deviations**2).sum(axis=1)) / noises.sum()
    return errors


def _rounds_inputs(choice: Choice) -> bool:
    """Return True if any activation of the chosen model is quantized."""
    return bool(choice.ranges) or any(layer.form is StorageForm.DYNAMIC for layer in choice.layers)


def _with_quantized_activations(choice: Choice) -> Session:
    """Return the float model with the activations of the choice quantized."""
    context = choice.context
    model, _ = assemble(context.model, [], choice.ranges, {}, context.spec.export.opset)
    dynamic = {layer.layer.name for layer in choice.layers if layer.form is StorageForm.DYNAMIC}
    names = Names.of(model.graph)
    for layer in inventory(model)[0]:
        if layer.name in dynamic and not layer.weight_operand.reads_states:
            round_input(layer, names)
    data = ir.to_proto(model).SerializeToString()
    return Session(data, "the model with quantized activations", ExportError, fold_weights=True)
