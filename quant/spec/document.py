"""The whole spec of a job."""

from typing import Literal, Self

from pydantic import Field, model_validator

from quant.data.images.preparation import ImagePreparation
from quant.outcome.gates import GATES, MAX_TOP1_DROP, MIN_TOP1_AGREEMENT
from quant.spec.evaluation import Evaluation
from quant.spec.layer_rules import LayerRule
from quant.spec.sections import Activations, Budget, Export, Gates, Limits, Measure, Section, TorchScript, Weights

Metric = Literal["sqnr", "cosine", "mse", "mean_iou"]
"""A measure of how close two models' outputs are; `mean_iou` compares the most probable class of every position."""
SUB_BYTE_OPSET = 21
"""The first opset with codes of 4 bits, blocks, and activations of 16 bits."""


class Spec(Section):
    """A resolved spec: every option has a value."""

    preset: Literal[
        "int8",
        "int8-weights",
        "small",
        "smaller",
        "smallest",
        "auto",
        "int4",
        "int4-weights",
        "codebook4",
        "ternary",
        "fp16",
    ] = "int8"
    """The defaults of the options that are not given."""
    weights: Weights = Weights()
    """The quantization of the weights."""
    activations: Activations | None = Activations()
    """The quantization of the activations; null for a weight-only model, which needs no calibration data."""
    precision: Literal["integers", "fp16"] = "integers"
    """The numbers that the model computes with: integers, as `weights` and `activations` say, or float16 everywhere
    but where its range is too small; no layer is quantized then."""
    bias_correction: Literal["auto", "none", "data_free", "calibrated"] = "auto"
    """The data from which biases are corrected: `auto` uses calibration data if there are any."""
    synthetic_inputs: Literal["auto", "none"] = "auto"
    """Without calibration data, run the float model on synthetic images or tokens where it takes such inputs, to round
    weights, choose clip bounds and correct biases by what its layers read then; no figure of the report is measured on
    them."""
    equalization: Literal["none", "cross_layer", "auto"] = "none"
    """Cross-layer equalization of the weights before quantization; `auto` decides on held-out samples."""
    smoothing: Literal["auto", "none"] = "auto"
    """Move outliers from the inputs of MatMul and Gemm into their weights; `auto` decides on held-out samples."""
    budget: Budget | None = None
    """The limit on the size of the exported file."""
    objective: Literal["fixed", "smallest_within_gates"] = "fixed"
    """Keep the bits of the spec, or find the smallest model that passes all gates."""
    keep_float: Literal["none", "auto", "slower"] = "none"
    """Leave layers in float: with `auto` those whose error at the output weighs more than their bytes, if the outputs
    are poor, with `slower` those that are measured to run slower quantized; the file then depends on measured time."""
    layers: tuple[LayerRule, ...] = ()
    """Exceptions for single layers; the first rule that matches a layer applies."""
    exclude_operators: tuple[str, ...] = Field(default=(), max_length=64)
    """Operators that stay in float, with or without a weight, such as `Sigmoid`."""
    export: Export = Export()
    """The storage of the quantized model."""
    gates: Gates = Gates()
    """Limits that decide the verdict on the quantized model."""
    report: Literal["full", "weights"] = "full"
    """The extent of the report: `weights` leaves out the measurements of layer outputs and takes less time."""
    metric: Metric | None = None
    """A further comparison of the outputs in the report, for models that are no classifiers; null for none."""
    evaluation: Evaluation = Evaluation()
    """The figures of the model's task on evaluation data."""
    limits: Limits = Limits()
    """Limits on the job."""
    measure: Measure = Measure()
    """Measurements of time."""
    torchscript: TorchScript = TorchScript()
    """Options for TorchScript modules."""
    images: ImagePreparation = ImagePreparation()
    """The preparation of the images of an archive that is a data set."""
    states: dict[str, str] = Field(default={}, max_length=64)
    """For a streaming model, the output that holds the next value of each state input; data are then sequences."""
    seed: int = Field(default=0, ge=0)
    """The seed of all random numbers."""

    @property
    def allocates(self) -> bool:
        """True if a search decides the bits of each layer."""
        return self.budget is not None or self.objective != "fixed"

    @property
    def may_be_dynamic(self) -> bool:
        """True if the mode `auto` may choose dynamic ranges: where the spec and its target allow them."""
        activations = self.activations
        allowed = activations is not None and activations.mode == "auto" and activations.refuses_dynamic is None
        return allowed and self.export.target.fast_storage

    @property
    def measures_latency(self) -> bool:
        """True if latency is measured, always or where the model is fast enough."""
        return self.measure.latency is not False

    @property
    def always_measures_latency(self) -> bool:
        """True if latency is measured however long it takes, because the spec or a gate asks for it."""
        return self.measure.latency is True or any(gate.is_timed for gate, _ in self.gates.requested())

    @property
    def searches_by_task(self) -> bool:
        """True if a search checks gates on figures of the model's task."""
        return self.objective != "fixed" and any(gate.of_task for gate, _ in self.gates.requested())

    @property
    def has_classes(self) -> bool | None:
        """True if the first output holds a score for each class; None where labels and values decide."""
        asks_for_top1 = any(gate in (MAX_TOP1_DROP, MIN_TOP1_AGREEMENT) for gate, _ in self.gates.requested())
        return True if asks_for_top1 else self.evaluation.classes

    @property
    def may_keep_float(self) -> bool:
        """True if the spec does not leave slow layers in float, but could."""
        return self.keep_float != "slower" and self.export.target.timed_here and not self.allocates

    @model_validator(mode="after")
    def _timed(self) -> Self:
        timed = [gate.name for gate, _ in self.gates.requested() if gate.is_timed]
        if timed and not self.measures_latency:
            raise ValueError(f"gate {timed[0]} needs a measurement; accepted: measure without latency: false")
        if self.keep_float == "slower" and not self.export.target.timed_here:
            raise ValueError("keep_float slower is measured with ONNX Runtime on the CPU; accepted: profile ort-cpu")
        if self.keep_float == "slower" and self.allocates:
            raise ValueError("keep_float slower would enlarge the file that a budget or an objective decides on; "
                             "accepted: keep_float none")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _below_the_ceiling(self) -> Self:
        ceiling = self.export.max_opset
        if ceiling is None or ceiling >= SUB_BYTE_OPSET or self.precision == "fp16":
            return self
        sections = [self.weights, *(rule.weights.apply(self.weights) for rule in self.layers if not rule.skip)]
        narrow = self.allocates or any(section.bits <= 4 for section in sections)
        if narrow or any(section.granularity == "block" for section in sections):
            raise ValueError(
                f"codes of 4 bits and blocks need opset {SUB_BYTE_OPSET}, and max_opset is {ceiling}; accepted: "
                f"weights of 8 bits per channel or tensor, or max_opset {SUB_BYTE_OPSET}"
            )
        if self.activations is not None and self.activations.bits == 16:
            raise ValueError(
                f"activations of 16 bits need opset {SUB_BYTE_OPSET}, and max_opset is {ceiling}; accepted: "
                f"activations of 8 bits, or max_opset {SUB_BYTE_OPSET}"
            )
        return self

    @model_validator(mode="after")
    def _in_half_precision(self) -> Self:
        if self.precision != "fp16":
            return self
        if self.activations is not None:
            raise ValueError("precision fp16 quantizes nothing; accepted: activations null, or precision integers")
        if self.allocates or self.keep_float != "none":
            raise ValueError(
                "precision fp16 has no bits to choose; accepted: no budget, objective fixed and keep_float none, or "
                "precision integers"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.objective != "fixed" and not any(gate.judges_quality for gate, _ in self.gates.requested()):
            names = (gate.name for gate in GATES if gate.judges_quality and not gate.of_task)
            raise ValueError(
                f"objective {self.objective} needs a gate on quality; accepted: gates with {', '.join(names)} or a "
                "figure of the task"
            )
        limits, mode = self.export.target.limits, "static" if self.activations is None else self.activations.mode
        if mode == "dynamic" and limits.quantized_inputs:
            raise ValueError(f"profile {self.export.profile} reads static ranges; accepted: activations.mode static")
        sections = [self.weights, *(rule.weights.apply(self.weights) for rule in self.layers)]
        if self.activations is not None and any(section.granularity == "block" for section in sections):
            raise ValueError("granularity block is for weight-only models; accepted: activations null, or granularity "
                             "channel or tensor")  # fmt: skip
        return self

    def weights_for(self, name: str, op: str) -> Weights | None:
        """Return the weights section for a layer, after the first rule that matches; None if the layer is skipped."""
        if op in self.exclude_operators or self.precision == "fp16":
            return None
        for rule in self.layers:
            if rule.matches(name, op):
                return None if rule.skip else rule.weights.apply(self.weights)
        return self.weights

    def bits_are_given(self, name: str, op: str) -> bool:
        """Return True if the first rule that matches a layer sets its bits; a budget then leaves them as they are."""
        for rule in self.layers:
            if rule.matches(name, op):
                return rule.weights.bits is not None
        return False
