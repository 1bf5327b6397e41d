"""The documents of the API that callers get, with the fields that they need most.

All other fields, and those that the service adds later, are in `document`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A document of the service.

    Attributes:
        document: the document as the service sent it.
    """

    document: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the typed form of a document."""
        return cls(document=document, **cls._values(document))

    @classmethod
    def _values(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the fields that the document has."""
        return {known.name: document[known.name] for known in fields(cls) if known.name in document}


@dataclass(frozen=True, kw_only=True)
class Upload(Answer):
    """An uploaded file, or one that the service fetches."""

    id: str
    """Its id, by which jobs name it."""
    status: str = "ready"
    """`ready`, or `fetching` or `failed` for a file that the service fetches."""
    sha256: str | None
    """Its SHA-256 in hexadecimal; None until it is ready."""
    size: int | None
    """Its size in bytes; None until it is ready."""
    filename: str | None = None
    """The name of the uploaded file; None if it had none."""


@dataclass(frozen=True, kw_only=True)
class Model(Upload):
    """An uploaded model."""

    format: str | None
    """The format of the file, recognised by its first bytes; None until it is ready."""


@dataclass(frozen=True, kw_only=True)
class Dataset(Upload):
    """Uploaded calibration or evaluation data."""

    format: str
    """The format of the file: `npz`, `npy`, `safetensors`, `hdf5` or `images`."""
    samples: int | None
    """The number of samples; None for HDF5, which only a job opens."""


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Problem(Answer):
    """The reason of a failure (RFC 9457)."""

    code: str
    """A stable name of the kind of problem."""
    detail: str
    """The fault, and what would be accepted."""


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Sqnr(Answer):
    """An error as SQNR."""

    sqnr_db: float | None = None
    """The ratio of signal and noise energy in dB; None where it was not measured."""


@dataclass(frozen=True, kw_only=True)
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

    @classmethod
    def _values(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        output = document.get("output")
        return {
            **super()._values(document),
            "weight": Sqnr.of(document["weight"]),
            "output": Sqnr.of(output) if output else None,
        }


@dataclass(frozen=True, kw_only=True)
class SkippedNode(Answer):
    """A node that stays as it is."""

    name: str
    """Name of the node."""
    op: str
    """ONNX operator."""
    reason: str
    """Why it was not quantized."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Answer):
    """The causes of most of the error."""

    sentence: str
    """The diagnosis in one sentence."""


@dataclass(frozen=True, kw_only=True)
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

    @classmethod
    def _values(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **super()._values(document),
            "summary": Summary.of(document["summary"]),
            "diagnosis": Diagnosis.of(document["diagnosis"]),
            "layers": [Layer.of(layer) for layer in document["layers"]],
            "skipped": [SkippedNode.of(node) for node in document["skipped"]],
        }
