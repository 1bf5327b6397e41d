"""The description of an ONNX file as it was uploaded: its versions, ports, operators and weights.

The file is read without the checks of a job (`quant.graph.load.onnx_file`), so that a model is described even if a job
would refuse it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from quant.data.declared import batch_axis
from quant.errors import UnreadableModel
from quant.graph.load.onnx_file import KNOWN_DOMAINS
from quant.graph.operators import is_constant
from quant.outcome.model_description import Container, ExternalFile, ModelDescription, OperatorCount, Port

_DEFAULT_DOMAIN = "ai.onnx"


def describe(path: Path, name: str, container: Container) -> ModelDescription:
    """Return the description of an ONNX file.

    Args:
        path: the ONNX file, with its external data beside it.
        name: the name of the upload.
        container: the kind of the upload.

    Raises:
        UnreadableModel: the file is no ONNX model.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError:
        raise UnreadableModel("the file is not ONNX, or was cut short; accepted: a complete .onnx file") from None
    if not model.graph.node:
        raise UnreadableModel("the file holds no graph with nodes; accepted: a complete .onnx file")
    tensors = list(_tensors(model))
    external = [tensor for tensor in tensors if tensor.external_data]
    constants = {tensor.name for tensor in model.graph.initializer}
    return ModelDescription(
        name=name,
        container=container,
        bytes=path.stat().st_size + sum(map(_tensor_bytes, external)),
        ir_version=model.ir_version,
        opsets={_text(entry.domain) or _DEFAULT_DOMAIN: entry.version for entry in model.opset_import},
        producer=f"{_text(model.producer_name)} {_text(model.producer_version)}".strip(),
        inputs=tuple(_input(port) for port in model.graph.input if port.name not in constants),
        outputs=tuple(map(_port, model.graph.output)),
        parameters=sum(math.prod(tensor.dims) for tensor in tensors),
        operators=tuple(_operators(model)),
        functions=tuple(_operator_name(function.domain, function.name) for function in model.functions),
        external_data=tuple(_external_files(external, path.parent)),
    )


def _text(value: str | bytes) -> str:
    """Return a text of the file; protobuf returns bytes for one that is not UTF-8."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def _input(port: onnx.ValueInfoProto) -> Port:
    described = _port(port)
    if not described.shape:
        return described
    sizes = ir.Shape([None if size == "?" else size for size in described.shape])
    return described.model_copy(update={"batch_axis": batch_axis(ir.Value(name=described.name, shape=sizes))})


def _port(port: onnx.ValueInfoProto) -> Port:
    """Return an input or output as the file declares it."""
    kind = port.type.WhichOneof("value")
    if kind != "tensor_type":
        return Port(name=_text(port.name), type=(kind or "unknown").removesuffix("_type"), shape=None)
    tensor = port.type.tensor_type
    shape = tuple(map(_size, tensor.shape.dim)) if tensor.HasField("shape") else None
    return Port(name=_text(port.name), type=_type_name(tensor.elem_type), shape=shape)


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    return dim.dim_value if dim.HasField("dim_value") else _text(dim.dim_param) or "?"


def _type_name(number: int) -> str:
    """Return the name of an element type as NumPy writes it."""
    try:
        data_type = ir.DataType(number)
        return str(data_type).lower() if data_type == ir.DataType.STRING else str(data_type.numpy())
    except (ValueError, TypeError):
        return "unknown"


def _operators(model: onnx.ModelProto) -> Iterator[OperatorCount]:
    """Yield the operators, the most frequent first."""
    defined = {(function.domain, function.name) for function in model.functions}
    counts = Counter((node.domain, node.op_type) for node in _nodes(model))
    for (domain, operator), number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        custom = domain not in KNOWN_DOMAINS and (domain, operator) not in defined
        yield OperatorCount(operator=_operator_name(domain, operator), nodes=number, custom=custom)


def _operator_name(domain: str, operator: str) -> str:
    return _text(operator) if domain in ("", _DEFAULT_DOMAIN) else f"{_text(domain)}::{_text(operator)}"


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of the graph, of its functions, and of all bodies."""
    yield from _with_bodies(model.graph.node)
    for function in model.functions:
        yield from _with_bodies(function.node)


def _with_bodies(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for body in _bodies(node):
            yield from _with_bodies(body.node)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield the initializers of the graph and of all bodies, and the tensors of Constant nodes."""
    yield from model.graph.initializer
    for node in _nodes(model):
        for body in _bodies(node):
            yield from body.initializer
        if is_constant(node):
            yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _tensor_bytes(tensor: onnx.TensorProto) -> int:
    try:
        bits = int(ir.DataType(tensor.data_type).bitwidth)
    except (ValueError, TypeError):
        return 0
    return -(-math.prod(map(int, tensor.dims)) * bits // 8)


def _external_files(tensors: Iterable[onnx.TensorProto], folder: Path) -> Iterator[ExternalFile]:
    """Yield the files that hold weights, in the order in which the model names them."""
    entries = ({_text(entry.key): _text(entry.value) for entry in tensor.external_data} for tensor in tensors)
    for location, number in Counter(entry.get("location", "") for entry in entries).items():
        yield ExternalFile(location=location, tensors=number, bytes=_file_bytes(folder, location))


def _file_bytes(folder: Path, location: str) -> int | None:
    """Return the size of a file below the folder; None if there is none. No other file is looked at."""
    path = PurePosixPath(location)
    if not location or path.is_absolute() or ".." in path.parts or "\0" in location:
        return None
    file = folder / path
    inside = file.resolve() == folder.resolve() / path
    return file.stat().st_size if inside and file.is_file() else None
