"""The choice for a whole model: the best of its variants, with the layers that the spec keeps in float for speed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from quant.calibration.channel_moments import ChannelMoments
from quant.data.dataset import Dataset
from quant.deadline import UNLIMITED, Deadline
from quant.errors import ModelError
from quant.evaluation.timed_inputs import NO_INPUTS, timed_inputs
from quant.progress import Progress
from quant.search.activation_modes import choose_dynamic_inputs
from quant.search.choice import Choice, without_moments
from quant.search.context import HELD_OUT, Source, calibrate
from quant.search.decide import choose, quantize_weights
from quant.search.half_precision import compute_in_float16, store_floats
from quant.search.keep_float import keep_slow_layers_float
from quant.search.matmul_accuracy import settle_matmul_accuracy
from quant.search.ranking import require_outputs
from quant.search.reconstruction import reconstruct
from quant.search.sensitive_layers import keep_sensitive_layers_float
from quant.search.smoothed import smoothed
from quant.search.variants import Variant, form_variants
from quant.spec import Spec


@dataclass(frozen=True)
class NormalisedModel:
    """The normalised float model with the data that it is quantized and measured with.

    Attributes:
        model: the float model.
        normals: the moments that its BatchNormalization layers imply, by the tensor's name.
        calibration: the calibration set, if there is one.
        evaluation: the evaluation set, if there is one; no choice is made with it.
        source: the size and the digest of the upload.
        progress: receives the stages and their steps.
        deadline: ends the search.
    """

    model: ir.Model
    normals: Mapping[str, ChannelMoments]
    calibration: Dataset | None
    evaluation: Dataset | None
    source: Source
    progress: Progress
    deadline: Deadline = UNLIMITED

    @property
    def timing_data(self) -> Dataset | None:
        """The data that latency is measured with."""
        return self.calibration or self.evaluation

    def quantize(self, spec: Spec) -> Choice:
        """Quantize the model by a spec, in every variant, and return the best; the model may change in place.

        Raises:
            QuantdError: as `calibrate`, `quantize_weights`, `choose` and `choose_dynamic_inputs` do.
        """
        if spec.precision == "fp16":
            plain = Variant("", self.model, self.normals)
            context = calibrate(plain, self.calibration, spec, self.source, self.progress, self.deadline)
            return compute_in_float16(context, self.progress)
        choices: list[Choice] = []
        variants = self._variants(spec)
        for variant in variants:
            if choices and self.deadline.skips(f"the variant{variant.suffix}"):
                break
            context = calibrate(variant, self.calibration, spec, self.source, self.progress, self.deadline)
            weights = quantize_weights(context, self.progress)
            choices.append(without_moments(choose(context, weights, self.progress, compare=len(variants) > 1)))
            del context, weights
        return choose_dynamic_inputs(choices, self.progress)

    def _variants(self, spec: Spec) -> list[Variant]:
        """Return the variants of the model to compare; the last one is smoothed where the spec allows it and it helps.

        A search for bits does not smooth: it would take twice the time. Without held-out samples no variant is
        smoothed: on its own samples a smoothed model is always ahead, and may be far behind on others.
        """
        variants = [*form_variants(self.model, self.normals, spec, calibrated=self.calibration is not None)]
        if self.calibration is None or spec.smoothing == "none" or spec.allocates:
            return variants
        if self.deadline.skips("smoothing"):
            return variants
        fitting, held_out = self.calibration.split(HELD_OUT)
        if held_out is fitting:
            return variants
        smooth = smoothed(variants[-1], fitting, spec, self.progress)
        return variants if smooth is None else [*variants, smooth]

    def quantize_copy(self, spec: Spec) -> Choice:
        """Quantize a copy of the model as `quantize` does."""
        return replace(self, model=self.model.clone()).quantize(spec)


def choose_model(float_model: NormalisedModel, spec: Spec) -> Choice:
    """Return the quantized model with the best outputs on held-out samples, among all that the spec lets vary.

    1. Quantize every variant of the model, and choose the best (`NormalisedModel.quantize`).
    2. With `keep_float: slower`, keep the layers in float that run slower quantized (`search.keep_float`).
    3. With `keep_float: auto`, keep the layers in float that gain enough for their bytes (`search.sensitive_layers`).
    4. With `rounding: reconstruct`, round the layers again for their inputs in this model (`search.reconstruction`).
    5. Choose the accuracy of MatMul in a weight-only model (`search.matmul_accuracy`).

    Raises:
        SpecError: the model does not have an output that the spec names.
        QuantdError: the model cannot be quantized by the spec, or does not run.
    """
    require_outputs(float_model.model, spec.evaluation.outputs)
    keep_slow = spec.keep_float == "slower" and not float_model.deadline.skips("the measurement of slow layers")
    choice = _keep_slow_layers(float_model, spec) if keep_slow else float_model.quantize(spec)
    keep_sensitive = spec.keep_float == "auto" and not spec.allocates
    if keep_sensitive and not float_model.deadline.skips("the search for layers to keep in float"):
        choice = keep_sensitive_layers_float(choice, float_model.progress)
    choice = reconstruct(choice, float_model.progress)
    return store_floats(settle_matmul_accuracy(choice, float_model.progress))


def _keep_slow_layers(float_model: NormalisedModel, spec: Spec) -> Choice:
    """Return the model with the layers in float that run slower quantized; all quantized if it cannot be timed."""
    choice, dataset = float_model.quantize_copy(spec), float_model.timing_data
    inputs = timed_inputs(float_model.model, dataset)
    if inputs is None:
        return replace(choice, warnings=(*choice.warnings, f"keep_float: slower had no effect: {NO_INPUTS}"))
    try:
        return keep_slow_layers_float(choice, float_model.quantize_copy, inputs.batch)
    except ModelError as error:
        if dataset is not None:
            raise
        reason = f"the float model does not run on random inputs: {error.detail}; accepted: a calibration dataset"
        return replace(choice, warnings=(*choice.warnings, f"keep_float: slower had no effect: {reason}"))
