"""The description of a model file: what it declares and holds, before anything is rewritten."""

from typing import Literal

from quant.outcome.report.base import Bytes, ReportModel

Container = Literal["onnx", "zip", "gzip", "tar", "torchscript"]
"""The kind of the uploaded file: an ONNX file, an archive of one, or a TorchScript module."""


class Port(ReportModel):
    """An input or an output of a model."""

    name: str
    """Name of the tensor."""
    type: str
    """Type of the elements, such as `float32`; for sequences, maps and optionals, the kind of the value."""
    shape: tuple[int | str, ...] | None
    """Size of each axis; a free size has the model's name for it, or `?`. Null if the model declares no rank."""
    batch_axis: int | None = None
    """Axis that datasets count samples along: the first with a name such as `N` or `batch`, else axis 0. Null for an
    output, and for an input without an axis."""


class ExternalFile(ReportModel):
    """A file beside the ONNX file that holds weights."""

    location: str
    """Path of the file, relative to the folder of the ONNX file."""
    tensors: int
    """Number of weights that lie in it."""
    bytes: Bytes | None
    """Size of the file; null if it is missing."""


class OperatorCount(ReportModel):
    """The nodes of one operator, also those in the bodies of other nodes and in functions."""

    operator: str
    """Name of the operator, with its domain if that is not the default one."""
    nodes: int
    """Number of nodes."""
    custom: bool
    """True for an operator of a domain that ONNX Runtime does not have and the model does not define."""


class ModelDescription(ReportModel):
    """A model file. A TorchScript module is described by the ONNX model that it is exported to."""

    name: str
    """File name of the model as its owner knows it."""
    container: Container
    """Kind of the uploaded file."""
    bytes: Bytes
    """Size of the ONNX file with its external data."""
    ir_version: int
    """Version of the ONNX file format."""
    opsets: dict[str, int]
    """Version of each operator set by its domain; `ai.onnx` is the default one."""
    producer: str
    """Tool that wrote the file, with its version; empty if the file names none."""
    inputs: tuple[Port, ...]
    """Inputs that a caller feeds."""
    outputs: tuple[Port, ...]
    """Outputs."""
    parameters: int
    """Number of elements in all initializers."""
    operators: tuple[OperatorCount, ...]
    """Operators by the number of their nodes, the most frequent first."""
    functions: tuple[str, ...]
    """Names of the functions that the model defines."""
    external_data: tuple[ExternalFile, ...]
    """Files beside the ONNX file that hold weights."""
