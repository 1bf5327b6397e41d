"""The models of a plan and of an inspection, which quant writes and the gateway and the client read.

A plan says what a job would do, without data: it is written by an untrusted process and validated by these models.
"""

from typing import Any, Literal

from quant.outcome.model_description import ModelDescription
from quant.outcome.report.base import Bytes, Decibels, ReportModel, Share
from quant.outcome.report.sections import SkippedNode, TargetFinding

SCHEMA_VERSION: Literal["1.0"] = "1.0"
"""Version of the plan's schema: the second number rises with new keys, the first with changed or removed ones."""

Form = Literal["integer", "dynamic", "matmul_nbits", "folded", "direct"]
"""The stored form of a weight: 8-bit codes for integer kernels, with inputs in static or in `dynamic` ranges; codes for
MatMulNBits; codes that become floats when
the model is loaded; the standard DequantizeLinear."""
PLAN_FILE, INSPECTION_FILE = "plan.json", "inspection.json"
"""The files that a process writes a plan and an inspection to."""
SizeBasis = Literal["exact", "structure", "sum", "limit"]
"""The basis of a file's size: `exact` for the size of the job's file; `structure` if the file was written with ranges
and biases that a job chooses, or with layers that a job may leave in float; `sum` for the sum of its tensors, without
its graph; `limit` for the size that a search keeps: the budget, or the file of the widest weights."""


class FileSize(ReportModel):
    """The expected size of a quantized model."""

    bytes_before: Bytes
    """Size of the float model with its external data."""
    bytes_after: Bytes
    """Size of the quantized model with its external data."""
    size_ratio: Share
    """`bytes_after` divided by `bytes_before`."""
    basis: SizeBasis
    """Basis of `bytes_after`."""


class WeightSqnr(ReportModel):
    """The error of quantized weights, on a sample of output channels and without data."""

    sqnr_db: Decibels | None
    """SQNR of the weights of the sample, quantized; null if it was not formed."""
    expected_sqnr_db: Decibels | None
    """SQNR that the fitted distributions predict; null if none of them has a variance, or nothing was fitted."""
    channels: int
    """Output channels of the sample."""
    of_channels: int
    """Output channels in all."""
    reason: str | None = None
    """Reason of a null; null if there is none."""


class PlannedLayer(ReportModel):
    """A layer that a job would quantize."""

    name: str
    """Name of the layer."""
    op: str
    """Operator of the layer."""
    weight_shape: tuple[int, ...]
    """Shape of its weight."""
    parameters: int
    """Elements of the weight."""
    bits: int
    """Bits of a code."""
    granularity: str
    """The weights that share a scale."""
    block_size: int | None
    """Weights in a block; null for other granularities."""
    grid: str
    """Rule for the levels."""
    clipping: str
    """Rule for the clip bounds without data."""
    form: Form
    """Stored form of the weight."""
    kernel: str
    """The way in which ONNX Runtime computes the layer, in words."""
    distribution: dict[str, int]
    """Rows of the sample by the family that fits them best."""
    weight: WeightSqnr
    """Error of the weight."""
    bytes_before: Bytes
    """Size of the float weight."""
    bytes_after: Bytes
    """Size of its codes, scales and levels."""
    notes: tuple[str, ...]
    """Sentences on what the spec asks for and the layer does not allow."""


class PresetSize(ReportModel):
    """The expected size and weight error of the model with one preset and the rules of the spec that skip layers."""

    preset: str
    """Name of the preset."""
    size: FileSize
    """Expected size of the file."""
    weight: WeightSqnr
    """Error over all weights."""
    needs_calibration: bool
    """True if the preset quantizes activations, which takes calibration data."""


class Plan(ReportModel):
    """The work of a job with this model and this spec, found without data."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    """Version of this schema."""
    model: ModelDescription
    """The float model."""
    spec: dict[str, Any]
    """The spec with its preset and defaults filled in."""
    spec_yaml: str
    """The same as YAML to edit, with a commented rule for each layer."""
    needs_calibration: bool
    """True if a job with this spec needs calibration data."""
    needs_evaluation: bool
    """True if a job with this spec needs evaluation data, because a gate is measured on them."""
    size: FileSize
    """Expected size of the quantized model."""
    weight: WeightSqnr
    """Error over all weights."""
    layers: tuple[PlannedLayer, ...]
    """Layers that are quantized, in the order of the network."""
    skipped: tuple[SkippedNode, ...]
    """Nodes that stay as they are, with the reason."""
    presets: tuple[PresetSize, ...]
    """The same model with each preset."""
    target: tuple[TargetFinding, ...] = ()
    """Parts of the file that the machine of the profile does not take; a job also checks codes and scales."""
    warnings: tuple[str, ...]
    """Sentences that the owner of the model should read."""


class InspectedLayer(ReportModel):
    """A layer that can be quantized."""

    name: str
    """Name of the layer."""
    op: str
    """Operator of the layer."""
    weight_shape: tuple[int, ...]
    """Shape of its weight."""
    parameters: int
    """Elements of the weight."""
    bytes: Bytes
    """Size of the float weight."""
    kernel: str
    """The integer kernel of ONNX Runtime, or the reason why it computes the layer in float."""


class Refusal(ReportModel):
    """The reason why a model cannot be quantized."""

    code: str
    """Stable name of the kind of problem."""
    detail: str
    """The fault, and what would be accepted."""


class Inspection(ReportModel):
    """The contents of a model file, and the layers of it that can be quantized."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    """Version of this schema."""
    model: ModelDescription
    """The model as it was uploaded."""
    layers: tuple[InspectedLayer, ...]
    """Layers that can be quantized, in the order of the network; none if the model is refused."""
    skipped: tuple[SkippedNode, ...]
    """Nodes with a weight that stay as they are, with the reason."""
    refusal: Refusal | None
    """Reason why no job can quantize the model; null if one can."""
