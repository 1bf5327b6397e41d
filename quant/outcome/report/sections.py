"""The sections of the report on the whole model: identity, gates, samples, outputs, choices and bounds."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from quant.outcome.report.base import Bytes, Decibels, Figure, ReportModel, Share
from quant.outcome.report.layer import ErrorBound


class ModelIdentity(ReportModel):
    """The uploaded model."""

    name: str
    """File name, as the owner knows it."""
    sha256: str
    """SHA-256 of the upload, in hexadecimal."""
    bytes: Bytes
    """Size of the upload."""


class Provenance(ReportModel):
    """The versions and the data that the result depends on."""

    quantd: str
    """Version of quantd."""
    libraries: dict[str, str]
    """Versions of the libraries that can change the bytes of an artifact, such as onnxruntime."""
    calibration_sha256: str | None
    """SHA-256 of the calibration set, in hexadecimal; null without one."""
    evaluation_sha256: str | None
    """SHA-256 of the evaluation set, in hexadecimal; null without one."""


class GateEntry(ReportModel):
    """A checked gate. Gates on durations are not stored, because they differ from run to run."""

    name: str
    """Key in the spec's `gates` section."""
    unit: str
    """Unit of the limit, of the value and of the margin; empty for a fraction."""
    better: Literal["higher", "lower"]
    """Direction in which the figure improves."""
    limit: float
    """Limit that the spec sets."""
    value: float | None
    """Measured value; null if it was not measured, and the gate then fails."""
    margin: float | None
    """Distance between value and limit: above zero if the limit is kept; null without a value."""
    passed: bool
    """True if the value keeps the limit, or if the gate was not judged."""
    reason: str | None = None
    """Why the gate was not judged; null if it was."""


class UsedSamples(ReportModel):
    """A data set: the first `used` samples are used."""

    given: int
    """Samples in the data set."""
    used: int
    """Samples in complete batches."""
    batch: int
    """Samples in a batch."""


class SyntheticSamples(ReportModel):
    """Inputs that were made up because there was no calibration data. No figure of the report is measured on them."""

    samples: int
    """Number of inputs by which weights were rounded and biases corrected; 0 if there were none."""
    reason: str | None
    """Why there were none; null if there were."""


class Samples(ReportModel):
    """The data sets of the job; null where there is none."""

    calibration: UsedSamples | None
    """The calibration set."""
    evaluation: UsedSamples | None
    """The evaluation set."""
    synthetic: SyntheticSamples | None = None
    """Synthetic inputs; null where they were not needed."""


class SkippedNode(ReportModel):
    """A node that stays as it is."""

    name: str
    """Name of the node."""
    op: str
    """ONNX operator."""
    reason: str
    """Why it is not quantized."""


class Finding(ReportModel):
    """A finding on the data."""

    code: str
    """Stable name of the finding."""
    detail: str
    """The finding as a sentence."""
    names: tuple[str, ...]
    """Names of the inputs or tensors that it is about."""


class TargetFinding(ReportModel):
    """A part of the exported model that the machine of the spec's profile does not take."""

    code: str
    """Stable name of the rule."""
    names: tuple[str, ...]
    """Names of the layers, nodes or tensors that it is about."""
    detail: str
    """The part that the machine does not take."""
    accepted: str
    """The part that it takes instead."""
    source: str
    """The document that the rule is from."""


class TotalMeanShift(ReportModel):
    """The sums over the layers of the mean shifts at their outputs, all on the same held-out samples."""

    before: Figure
    """Sum without bias correction; null if no bias was corrected."""
    after: Figure
    """Sum in the quantized model."""
    before_standard_error: Figure
    """Upper bound on the standard error of `before`."""
    after_standard_error: Figure
    """Upper bound on the standard error of `after`."""
    samples: int
    """Samples that were measured."""
    reason: str | None
    """Why a figure is null."""


class Compared(ReportModel):
    """The candidates that were compared on held-out samples of the calibration set."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    chosen: Annotated[str, Field(alias="kept")]
    """Name of the candidate that was chosen; the key is `kept`."""
    output_sqnr_db: dict[str, float | None]
    """Output SQNR of each candidate in dB, by its name; empty if there was one candidate."""


class OutputEntry(ReportModel):
    """One output of the model on the evaluation data; errors are in the output's own unit."""

    name: str
    """Name of the output."""
    dtype: str
    """Type of its values."""
    samples: int
    """Samples that were compared."""
    sqnr_db: Decibels | None
    """SQNR; null where the output has none."""
    cosine: Figure
    """Cosine similarity of both models' values, -1 to 1; null where it cannot be formed."""
    identical: bool
    """True if both models' values are the same everywhere."""
    agreement: Share | None
    """Share of positions with equal values; null for floats."""
    mean_error: Figure
    """Mean absolute error."""
    max_error: Figure
    """Largest absolute error."""
    finite_fraction: Share | None
    """Share of positions with a quantity in the float model; null for values that are no floats."""
    nonfinite_agreement: Share | None
    """Share of the other positions at which both models' values are the same; null if there are none."""
    reason: str | None
    """Why the SQNR or the cosine is null."""


class AccuracyDifference(ReportModel):
    """The top-1 accuracy of the quantized model less that of the float model, with its confidence interval."""

    points: float
    """The difference, in percentage points."""
    low: float
    """Lower limit of the interval, in percentage points."""
    high: float
    """Upper limit of the interval, in percentage points."""
    confidence: Share
    """Confidence of the interval."""
    samples: int
    """Labelled samples."""


class MetricValue(ReportModel):
    """The metric that the spec asks for."""

    name: str
    """Name of the metric."""
    value: Figure
    """Its value; null where the outputs do not have it."""


class Evaluation(ReportModel):
    """Further figures on the evaluation data."""

    top5_float: float | None
    """Top-5 accuracy of the float model, in percent; null without labels or with fewer than six classes."""
    top5_quantized: float | None
    """Top-5 accuracy of the quantized model, in percent."""
    top1_difference: AccuracyDifference | None
    """Difference of the top-1 accuracies; null without labels."""
    metric: MetricValue | None
    """The metric of the spec; null if it names none."""


class AllocationPoint(ReportModel):
    """One allocation of bits to the weights."""

    size_ratio: Share
    """Expected size of the exported file, as a fraction of the float model's."""
    mean_bits: float
    """Bits of a weight, averaged over all weights."""
    expected_sqnr_db: Decibels
    """Output SQNR expected of the weights' errors, without those of activations. Without calibration data it
    follows from moments that BatchNormalization implies or that were measured on synthetic inputs."""


class AllocationSection(ReportModel):
    """The allocation of bits to the weights."""

    max_bytes: Bytes | None
    """Budget of the exported file; null without one."""
    chosen: AllocationPoint
    """The allocation that was chosen."""
    closed_form: AllocationPoint
    """The allocation by ACIQ's closed form with the same mean bits, for comparison."""
    front: tuple[AllocationPoint, ...]
    """The allocations from which no byte is saved without more error, the smallest first."""


class TrialGate(ReportModel):
    """A gate on held-out samples of the calibration set; shares are one standard error on the safe side."""

    name: str
    """Key in the spec's `gates` section."""
    limit: float
    """Limit that the spec sets."""
    value: float | None
    """Measured value; null if it was not measured."""
    passed: bool
    """True if the value keeps the limit."""


class SearchTrial(ReportModel):
    """One allocation that the search tried."""

    size_ratio: Share
    """Size of its file, as a fraction of the float model's."""
    mean_bits: float
    """Bits of a weight, averaged over all weights."""
    passed: bool
    """True if all gates passed."""
    gates: tuple[TrialGate, ...]
    """The gates."""


class SearchSection(ReportModel):
    """The search for the smallest model within the gates."""

    passed: bool
    """True if the chosen model passed all gates."""
    fails_by: str | None
    """The gates that the chosen model fails and by how much; null if it passes."""
    tried: tuple[SearchTrial, ...]
    """The trials, the smallest model first."""


class MatMulAccuracy(ReportModel):
    """The accuracy of MatMul in a weight-only model."""

    requested: str
    """Option of the spec."""
    used: str
    """Accuracy of the exported model: int8 or float."""
    reason: str
    """Why it is used."""
    output_sqnr_db: dict[str, float | None] | None
    """Output SQNR with each accuracy on held-out samples, in dB; null if it was not measured."""
    layers: tuple[str, ...]
    """Layers that it concerns."""


class Float16(ReportModel):
    """The values that are stored as float16: all constants of a model in float16, or the floats of a quantized one."""

    values: int
    """Number of values that are stored as float16."""
    sqnr_db: Decibels | None
    """SQNR of these values; null if there are none."""
    float32_nodes: tuple[SkippedNode, ...]
    """Nodes that compute in float32 in a model in float16, with the reason."""


class OutputBounds(ReportModel):
    """The guaranteed bounds on the errors of the model's outputs."""

    outputs: dict[str, ErrorBound]
    """Bounds by the output's name."""
    reason: str | None
    """Why an output has no bound."""


class ErrorShareBasis(ReportModel):
    """The basis of the layers' shares of the output error: one layer's weights at a time, all others in float.

    The three energies are of the error at the model's outputs, as fractions of the energy of the outputs, on the same
    samples. As far as errors add up, `all` is the sum of `weights` and `activations`.
    """

    samples: int
    """Calibration samples that were run for each layer; 0 if nothing was measured."""
    reason: str | None
    """Why nothing was measured; null if the shares were measured."""
    weights: Share | None
    """Sum over the layers of the error that each causes alone."""
    activations: Share | None
    """Error with all activations quantized and all weights in float; null if no activation is quantized."""
    all: Share | None
    """Error of the quantized model."""
    covered_layers: int
    """Layers with a share; the others cannot be changed alone."""
