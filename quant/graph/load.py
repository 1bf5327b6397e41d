"""Reading an uploaded ONNX file into onnx-ir, with the refusals that a caller can act on."""

from collections.abc import Iterator

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from quant.errors import (
    MissingExternalData,
    UnreadableModel,
    UnsupportedFormat,
    UnsupportedOperator,
    UnsupportedOpset,
)

MIN_OPSET, MAX_OPSET = 7, 26
KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive (TorchScript, or ONNX with external data)",
    b"\x1f\x8b": "a gzip archive",
}


def load(data: bytes) -> ir.Model:
    """The model in the bytes of one ONNX file whose weights lie in the file itself.

    Raises:
        UnsupportedFormat: the bytes are an archive, not an ONNX file.
        UnreadableModel: the bytes are no ONNX model, or a truncated one.
        MissingExternalData: a weight points to another file.
        UnsupportedOpset: the opset is missing or outside 7 to 26.
        UnsupportedOperator: an operator is of a domain that ONNX Runtime's wheel does not have.
    """
    for magic, kind in _ARCHIVES.items():
        if data.startswith(magic):
            raise UnsupportedFormat(f"the file is {kind}; accepted: one ONNX file with its weights inside")
    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError:
        raise UnreadableModel("the file is not ONNX, or was cut short; accepted: a complete .onnx file") from None
    _check(proto)
    return ir.from_proto(proto)


def _check(proto: onnx.ModelProto) -> None:
    if not proto.graph.node:
        raise UnreadableModel("the file holds no graph with nodes; accepted: a complete .onnx file")
    external = next((tensor for tensor in _tensors(proto.graph) if tensor.external_data), None)
    if external is not None:
        location = next((entry.value for entry in external.external_data if entry.key == "location"), "?")
        raise MissingExternalData(
            f"weight {external.name!r} lies in another file, {location!r}, that was not uploaded; "
            "accepted: one ONNX file with its weights inside"
        )
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UnsupportedOpset(f"the model is of opset {opset}; accepted: {MIN_OPSET} to {MAX_OPSET}")
    local = {(function.domain, function.name) for function in proto.functions}
    for node in _nodes(proto.graph):
        if node.domain not in KNOWN_DOMAINS and (node.domain, node.op_type) not in local:
            raise UnsupportedOperator(
                f"node {node.name!r} is {node.domain}::{node.op_type}, a custom operator; "
                "accepted: standard ONNX operators"
            )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for body in (attribute.g, *attribute.graphs):
                yield from _tensors(body)
