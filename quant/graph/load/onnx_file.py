"""Reading of an uploaded ONNX file into onnx-ir, with refusals that a caller can act on."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from quant.errors import UnreadableModel, UnsupportedFormat, UnsupportedOperator, UnsupportedOpset
from quant.graph.load.archive import archive_kind
from quant.graph.load.external import check_external, read_external
from quant.graph.load.functions import check_functions
from quant.graph.load.sparse import make_dense
from quant.graph.signature import keep_map_types, set_map_types_aside

MIN_OPSET, MAX_OPSET = 7, 26
MAX_IR = 13
"""The latest IR version that ONNX Runtime 1.31 loads."""
KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})


def load(source: bytes | Path, max_read: float = math.inf) -> ir.Model:
    """Return the model of one ONNX file.

    Args:
        source: the bytes of the file, or its path. External data is read from beside a path only.
        max_read: the most bytes of external data that are read into memory. If there are more, each weight is mapped
            whenever it is used.

    Raises:
        UnsupportedFormat: the file is an archive (see `quant.graph.load.source`).
        UnreadableModel: the file is no ONNX model or is truncated, or its external data is.
        MissingExternalData: a weight lies in a file that does not exist.
        UnsafeModel: a weight lies in a file outside the model's folder, or a sparse one takes too much memory.
        UnsupportedOpset: the opset is missing or outside 7 to 26, or the IR version is above 13.
        UnsupportedOperator: an operator has a domain that ONNX Runtime's wheel does not have, or local functions call
            each other too deeply or stand for too many nodes.
    """
    folder = None if isinstance(source, bytes) else source.parent
    proto = _parse(source if isinstance(source, bytes) else source.read_bytes())  # the bytes are freed here
    _check(proto, folder)
    make_dense(proto)
    model = _deserialize(proto)
    if folder is not None:
        read_external(model, folder, max_read)
        for graph in (model.graph, *(function.graph for function in model.functions.values())):
            ir.external_data.set_base_dir(graph, folder)
    return model


def _parse(data: bytes) -> onnx.ModelProto:
    if (kind := archive_kind(data)) is not None:
        raise UnsupportedFormat(f"the file is a {kind} archive; accepted: one ONNX file")
    try:
        return onnx.load_model_from_string(data)
    except DecodeError:
        raise UnreadableModel("the file is not ONNX, or was cut short; accepted: a complete .onnx file") from None


def _deserialize(proto: onnx.ModelProto) -> ir.Model:
    try:
        map_types = set_map_types_aside(proto)
        model = ir.from_proto(proto)
        keep_map_types(model, map_types)
        _decode_initializers(model)
    except Exception as error:  # noqa: BLE001 - onnx-ir raises any exception for hostile bytes
        reason = str(_root_cause(error)).split("\n")[0][:200]
        raise UnreadableModel(f"the model is damaged ({reason}); accepted: a complete .onnx file") from None
    return model


def _decode_initializers(model: ir.Model) -> None:
    """Decode every initializer once, so that one with too few bytes for its shape is refused here."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.TensorProtoTensor):
                value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)


def _root_cause(error: Exception) -> Exception:
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _check(proto: onnx.ModelProto, folder: Path | None) -> None:
    """Check everything that onnx-ir and ONNX Runtime would accept or refuse without a useful reason."""
    if not proto.graph.node:
        raise UnreadableModel("the file holds no graph with nodes; accepted: a complete .onnx file")
    _check_versions(proto)
    _check_texts(proto)
    main = list(_nodes(proto.graph.node))
    functions = {(function.domain, function.name): list(_nodes(function.node)) for function in proto.functions}
    nodes = [*main, *(node for inner in functions.values() for node in inner)]
    sparse = (tensor.values for tensor in proto.graph.sparse_initializer)
    for tensor in (*proto.graph.initializer, *sparse, *_tensors(nodes)):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            check_external(tensor, folder)
    local_functions = set(functions)
    for node in nodes:
        _check_node(node, local_functions)
    check_functions(functions, main)


def _check_versions(proto: onnx.ModelProto) -> None:
    if proto.ir_version > MAX_IR:
        raise UnsupportedOpset(f"the model has IR version {proto.ir_version}; accepted: up to {MAX_IR}")
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UnsupportedOpset(f"the model has opset {opset}; accepted: {MIN_OPSET} to {MAX_OPSET}")


def _check_node(node: onnx.NodeProto, local_functions: set[tuple[str, str]]) -> None:
    if any(attribute.type == onnx.AttributeProto.UNDEFINED for attribute in node.attribute):
        raise UnreadableModel(f"node {node.name!r} has an attribute without a type; accepted: IR version 2 and later")
    if node.domain not in KNOWN_DOMAINS and (node.domain, node.op_type) not in local_functions:
        raise UnsupportedOperator(
            f"node {node.name!r} is {node.domain}::{node.op_type}, a custom operator; accepted: standard ONNX operators"
        )


def _check_texts(message: Message) -> None:
    """Check that all texts are UTF-8. For others protobuf returns bytes, which it refuses to write again."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            texts = [value] if isinstance(value, str | bytes) else value
            if any(isinstance(text, bytes) for text in texts):
                raise UnreadableModel(f"a {field.name} in the model is not UTF-8; accepted: a complete .onnx file")
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                _check_texts(inner)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield these nodes and all nodes in their bodies."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body.node)


def _tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """Yield the tensors in the attributes of nodes, and the initializers of their bodies."""
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors, attribute.sparse_tensor.values)
            for body in (attribute.g, *attribute.graphs):
                yield from body.initializer
