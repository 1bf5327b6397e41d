"""Ranks: the number of axes of the tensors in a model, as far as ONNX shape inference knows them."""

from collections.abc import Iterator, Mapping

import onnx
import onnx_ir as ir

from quant.graph.weightless import weightless


def ranks_of(model: ir.Model) -> Mapping[str, int]:
    """Return the rank of every tensor whose rank is known, by its name, also in bodies of If, Loop and Scan."""
    inferred = onnx.shape_inference.infer_shapes(weightless(model).proto)
    return dict(_ranks(inferred.graph))


def _ranks(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            yield value.name, len(tensor.shape.dim)
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _ranks(body)
