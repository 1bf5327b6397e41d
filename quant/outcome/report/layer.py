"""The entry of one quantized layer."""

from typing import Annotated, Literal

from pydantic import Field

from quant.outcome.report.base import Bytes, Decibels, Figure, ReportModel, Share, WeightUnit
from quant.outcome.report.fits import CandidateFamily, RowFit
from quant.outcome.report.picture import Picture

MAX_CHANNELS = 256
"""The most channels of a layer that are listed."""
MAX_FITS = 4096
"""The most rows of a layer whose fit is listed; a weight with blocks may have a million rows."""


class WeightErrors(ReportModel):
    """The errors of a layer's weights: measured, and expected of the fits and each row's largest weight."""

    mae: WeightUnit
    """Measured mean absolute error."""
    mse: float
    """Measured mean squared error, in the weight's unit squared."""
    sqnr_db: Decibels
    """Measured energy of the weights over the energy of their errors; 200 without error."""
    mae_expected: Figure
    """Expected mean absolute error, in the weight's unit."""
    mse_expected: Figure
    """Expected mean squared error, in the weight's unit squared."""
    expected_reason: str | None
    """Why an expected error is null."""


class LayerOutput(ReportModel):
    """The difference between the quantized and the float model at the layer's output, on held-out samples.

    Mean shifts are in the output's unit: the mean over the channels of |E[quantized - float]|. They are measured on the
    samples of `total_mean_shift`.
    """

    mean_shift_before: Figure
    """Mean shift without bias correction; null if no bias was corrected."""
    mean_shift_after: Figure
    """Mean shift in the quantized model."""
    mean_shift_before_standard_error: Figure
    """Upper bound on the standard error of `mean_shift_before`."""
    mean_shift_after_standard_error: Figure
    """Upper bound on the standard error of `mean_shift_after`."""
    sqnr_db: Decibels
    """Energy of the float output over the energy of the difference, with all layers before this one quantized."""
    cosine: Figure
    """Cosine similarity of both outputs, -1 to 1; null if one is zero."""


class ClippedActivation(ReportModel):
    """The activation that a layer reads, on the evaluation data."""

    tensor: str
    """Name of the tensor."""
    minimum: float
    """Lower end of its calibrated range, in the tensor's unit."""
    maximum: float
    """Upper end of its calibrated range, in the tensor's unit."""
    clipped_fraction: Share
    """Share of its values outside of that range."""
    samples: int
    """Evaluation samples that were measured."""


class BoundFigure(ReportModel):
    """One guaranteed bound on an error."""

    error: Figure
    """The bound, in the output's unit; null if there is none."""
    vacuous: bool
    """True if the bound is above the signal itself."""


class ErrorBound(ReportModel):
    """The guaranteed bounds on the error of one output, for every input within the calibrated ranges."""

    interval: BoundFigure
    """Bound on any element, by interval arithmetic."""
    operator_norm: BoundFigure
    """Bound on the 2-norm, by operator norms."""


class Channels(ReportModel):
    """The channels of a layer, or the worst of them where there are many; all tuples have the same length."""

    channel: Annotated[tuple[int, ...], Field(max_length=MAX_CHANNELS)]
    """Numbers of the channels, ascending."""
    channels: int
    """Number of all channels; where it is greater, those with the least SQNR are listed."""
    bound: tuple[WeightUnit, ...]
    """Clip bound of each channel."""
    sqnr_db: tuple[Decibels, ...]
    """SQNR of the weights of each channel."""
    family: tuple[str, ...] | None
    """Family chosen for each channel; null if the channels were not fitted."""
    clip_ratio: tuple[Figure, ...]
    """Bound divided by the largest |w| of the channel; null for a channel of zeros."""


class Alternative(ReportModel):
    """Another way to quantize the layer, all others unchanged, with its gain and its price."""

    change: str
    """The change in words, such as "8 bits"."""
    weight_sqnr_db: Figure
    """SQNR of the weights, in dB; null for a layer in float, whose weights have no error, and where it is unknown."""
    weight_sqnr_gain_db: Figure
    """The same less that of the layer as it is, in dB; null as `weight_sqnr_db`."""
    basis: Literal["expected", "measured", "exact"] | None
    """The origin of `weight_sqnr_db`: expected of the fits, or measured on the weights; `exact` for a layer in float;
    null where it is unknown."""
    output_gain_db: Figure
    """Expected gain of the model's output SQNR, in dB. It follows from the layer's share of the output error and the
    share of the output error that is due to weights, as far as errors add up; null without a share."""
    bytes: Bytes
    """Bytes of the layer's weights in the exported file."""
    bytes_more: Bytes
    """The same less those of the layer as it is."""
    spec: str
    """Lines of YAML for the spec that make this change."""


class LayerEntry(ReportModel):
    """One quantized layer. Rows are the weights that share a scale."""

    name: str
    """Name of the layer."""
    op: str
    """ONNX operator."""
    weight_shape: tuple[int, ...]
    """Shape of the weight."""
    parameters: int
    """Number of weights."""
    bits: int
    """Bits of a code."""
    granularity: str
    """The weights that share a scale: tensor, channel or block."""
    block_size: int | None
    """Weights in a block; null for other granularities."""
    grid: str
    """Rule for the levels."""
    clipping: str
    """Clip rule of the spec."""
    rounding: str
    """Rounding."""
    distribution: dict[str, int]
    """Rows by the family that was chosen for them."""
    fits: Annotated[tuple[RowFit, ...], Field(max_length=MAX_FITS)]
    """The fit of each row, or of rows at even distances where there are many."""
    candidates: tuple[CandidateFamily, ...]
    """The fitted families over all rows."""
    clip_ratio: float
    """Mean over rows of the clip bound divided by the largest |w|; 1 if nothing is clipped."""
    clipped_fraction: Share
    """Share of the weights beyond their bound."""
    weight: WeightErrors
    """Errors of the weights."""
    output: LayerOutput | None
    """Differences at the layer's output on held-out samples."""
    output_reason: str | None
    """Why `output` is null."""
    activations: Literal["static", "dynamic", "float"]
    """Rounding of the layer's input: in a range that calibration data decided, in a range that the model computes for
    each input, or none."""
    activation: ClippedActivation | None
    """Clipped values of the layer's input, outside of its static range."""
    activation_reason: str | None
    """Why `activation` is null."""
    bound: ErrorBound | None
    """Guaranteed bounds on the error of the layer's output; null where there are none."""
    bytes_before: Bytes
    """Bytes of the float weights."""
    bytes_after: Bytes
    """Bytes of the codes and scales in the exported file."""
    seconds: float | None
    """Duration of the layer's quantization in seconds; null in the stored report."""
    notes: tuple[str, ...]
    """Sentences on what differs from the spec."""
    error_share: Share | None
    """Error at the model's output when the weights of this layer alone are quantized, divided by the sum of these
    errors over all layers. `error_share_basis` says how it was measured."""
    error_share_standard_error: Figure
    """Standard error of `error_share`, from its variation between samples; null with fewer than two batches."""
    error_share_reason: str | None
    """Why `error_share` is null."""
    picture: Picture | None
    """Histogram, densities, bounds and error curve of the weights."""
    picture_reason: str | None
    """Why `picture` is null."""
    channels: Channels | None
    """Bound, error and family by output channel."""
    channels_reason: str | None
    """Why `channels` is null."""
    alternatives: tuple[Alternative, ...]
    """Other ways to quantize the layer."""
