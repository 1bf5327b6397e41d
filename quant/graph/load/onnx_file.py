"""Reading an uploaded ONNX file into onnx-ir, with the refusals that a caller can act on."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from quant.errors import UnreadableModel, UnsupportedFormat, UnsupportedOperator, UnsupportedOpset
from quant.graph.load.external import check_external, read_external

MIN_OPSET, MAX_OPSET = 7, 26
MAX_IR = 13
"""The last that ONNX Runtime 1.31 loads."""
KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_ARCHIVES = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive"}


def load(source: bytes | Path, most: float = math.inf) -> ir.Model:
    """The model of one ONNX file, from its bytes or from its path.

    External data beside a path is read, or where it is more than `most` bytes mapped whenever it is looked at.

    Raises:
        UnsupportedFormat: an archive, not an ONNX file (see `quant.graph.load.source`).
        UnreadableModel: no ONNX model, a truncated one, or one whose external data is cut short.
        MissingExternalData: a weight lies in a file that is not there.
        UnsafeModel: a weight lies in a file outside the model's folder.
        UnsupportedOpset: the opset is missing or outside 7 to 26, or the IR is newer than 13.
        UnsupportedOperator: an operator is of a domain that ONNX Runtime's wheel does not have.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    for magic, kind in _ARCHIVES.items():
        if data.startswith(magic):
            raise UnsupportedFormat(f"the file is {kind}; accepted: one ONNX file")
    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError:
        raise UnreadableModel("the file is not ONNX, or was cut short; accepted: a complete .onnx file") from None
    folder = None if isinstance(source, bytes) else source.parent
    _check(proto, folder)
    model = _deserialized(proto)
    if folder is not None:
        read_external(model, folder, most)
        for graph in (model.graph, *(function.graph for function in model.functions.values())):
            ir.external_data.set_base_dir(graph, folder)
    return model


def _deserialized(proto: onnx.ModelProto) -> ir.Model:
    try:
        model = ir.from_proto(proto)
        for value in (
            value for graph in (model.graph, *model.graph.subgraphs()) for value in graph.initializers.values()
        ):
            tensor = value.const_value
            if isinstance(tensor, ir.TensorProtoTensor):  # decoded once: as many elements as the shape says
                value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    except Exception as error:  # noqa: BLE001 - for hostile bytes onnx-ir raises what it likes
        cause = error
        while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
            cause = cause.__cause__
        reason = str(cause).split("\n")[0][:200]
        raise UnreadableModel(f"the model is damaged ({reason}); accepted: a complete .onnx file") from None
    return model


def _check(proto: onnx.ModelProto, folder: Path | None) -> None:
    if not proto.graph.node:
        raise UnreadableModel("the file holds no graph with nodes; accepted: a complete .onnx file")
    if proto.ir_version > MAX_IR:
        raise UnsupportedOpset(f"the model is of IR version {proto.ir_version}; accepted: up to {MAX_IR}")
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UnsupportedOpset(f"the model is of opset {opset}; accepted: {MIN_OPSET} to {MAX_OPSET}")
    nodes = [*_nodes(proto.graph.node), *(node for function in proto.functions for node in _nodes(function.node))]
    _check_texts(proto)
    sparse = (tensor.values for tensor in proto.graph.sparse_initializer)
    for tensor in (*proto.graph.initializer, *sparse, *_tensors(nodes)):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            check_external(tensor, folder)
    local = {(function.domain, function.name) for function in proto.functions}
    for node in nodes:
        if any(attribute.type == onnx.AttributeProto.UNDEFINED for attribute in node.attribute):
            raise UnreadableModel(
                f"node {node.name!r} has an attribute without a type; accepted: IR version 2 and later"
            )
        if node.domain not in KNOWN_DOMAINS and (node.domain, node.op_type) not in local:
            raise UnsupportedOperator(
                f"node {node.name!r} is {node.domain}::{node.op_type}, a custom operator; "
                "accepted: standard ONNX operators"
            )


def _check_texts(message: Message) -> None:
    """Names must be UTF-8: protobuf gives bytes for those that are not, and nothing can write them again."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            texts = [value] if isinstance(value, str | bytes) else value
            if any(isinstance(text, bytes) for text in texts):
                raise UnreadableModel(f"a {field.name} in the model is not UTF-8; accepted: a complete .onnx file")
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                _check_texts(inner)


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """These and all in the bodies that they hold."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body.node)


def _tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """The tensors in attributes, and the initializers of bodies."""
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors, attribute.sparse_tensor.values)
            for body in (attribute.g, *attribute.graphs):
                yield from body.initializer
