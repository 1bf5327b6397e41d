"""The documents of the API that callers get, with the fields that they need most.

Fields that the service adds later, and all others, are in `document`.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Answer(BaseModel):
    """A document of the service."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    _document: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the typed form of a document."""
        answer = cls.model_validate(document)
        answer._document = document
        return answer

    @property
    def document(self) -> Mapping[str, Any]:
        """The document as the service sent it."""
        return self._document


class Model(Answer):
    """An uploaded model."""

    id: str
    """Its id, by which jobs name it."""
    sha256: str
    """Its SHA-256 in hexadecimal."""
    size: int
    """Its size in bytes."""
    format: str
    """The format of the file, recognised by its first bytes."""
    filename: str | None = None
    """The name of the uploaded file; None if it had none."""


class Dataset(Answer):
    """Uploaded calibration or evaluation data."""

    id: str
    """Its id, by which jobs name it."""
    sha256: str
    """Its SHA-256 in hexadecimal."""
    size: int
    """Its size in bytes."""
    samples: int
    """The length of the first axis."""
    filename: str | None = None
    """The name of the uploaded file; None if it had none."""


class Gate(Answer):
    """A checked gate."""

    name: str
    """The gate's key in the spec's `gates` section."""
    limit: float
    """The limit that the spec sets."""
    value: float | None
    """The measured value; None if it was not measured."""
    passed: bool
    """True if the value keeps the limit."""


class Problem(Answer):
    """The reason of a failure (RFC 9457)."""

    code: str
    """A stable name of the kind of problem."""
    detail: str
    """The fault, and what would be accepted."""


class Summary(Answer):
    """The most important figures of a job; None where the data for a figure was not given."""

    bytes_before: int
    """Size of the float model in bytes."""
    bytes_after: int
    """Size of the quantized model in bytes."""
    size_ratio: float
    """`bytes_after` divided by `bytes_before`."""
    layers: int
    """Layers with a weight, quantized or not."""
    quantized_layers: int
    """Layers whose weight was quantized."""
    weight_sqnr_db: float | None = None
    """SQNR over all quantized weights in dB."""
    output_sqnr_db: float | None = None
    """SQNR over all outputs in dB on the evaluation data."""
    top1_float: float | None = None
    """Top-1 accuracy of the float model in percent."""
    top1_quantized: float | None = None
    """Top-1 accuracy of the quantized model in percent."""
    seconds: float | None = None
    """Duration of the job."""


class Artifact(Answer):
    """A file that a job produced."""

    name: str
    """Its name, such as `model.onnx`."""
    size: int
    """Its size in bytes."""
    sha256: str
    """Its SHA-256 in hexadecimal."""
    media_type: str
    """Its media type."""


class Sqnr(Answer):
    """An error as SQNR."""

    sqnr_db: float | None = None
    """The ratio of signal and noise energy in dB; None where it was not measured."""


class Layer(Answer):
    """A quantized layer."""

    name: str
    """Name of the layer."""
    op: str
    """ONNX operator."""
    bits: int
    """Bits of its weights."""
    weight: Sqnr
    """The error of its weights."""
    output: Sqnr | None = None
    """The error at its output; None where it was not measured."""
    error_share: float | None = None
    """Its share of the error at the output, 0 to 1; None where it was not measured."""


class SkippedNode(Answer):
    """A node that stays as it is."""

    name: str
    """Name of the node."""
    op: str
    """ONNX operator."""
    reason: str
    """Why it was not quantized."""


class Diagnosis(Answer):
    """The causes of most of the error."""

    sentence: str
    """The diagnosis in one sentence."""


class Report(Answer):
    """The report of a job. docs/report.schema.json describes all of `document`."""

    schema_version: str
    """Version of the schema."""
    verdict: str | None
    """`pass` or `fail`, the result of the gates that are not on durations; None without gates."""
    summary: Summary
    """The most important figures."""
    diagnosis: Diagnosis
    """The causes of most of the error."""
    layers: list[Layer]
    """The quantized layers, in the order of the network."""
    worst_layers: list[str]
    """Names of the layers with the least SQNR, the worst first."""
    skipped: list[SkippedNode]
    """The nodes that stay as they are."""
    warnings: list[str]
    """Sentences for the owner of the model."""
