"""Sparse tensors: made dense, since onnx-ir has no tensor for them and ONNX Runtime makes them dense, too."""

import math
from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quant.errors import UnreadableModel, UnsafeModel

MAX_BYTES = 1 << 31
"""The most bytes of a tensor in an ONNX file."""


def make_dense(model: onnx.ModelProto) -> None:
    """Replace the sparse initializers and the sparse values of Constant nodes by dense ones, in place.

    Raises:
        UnreadableModel: the values and indices of one do not fit its shape.
        UnsafeModel: one would take more than `MAX_BYTES`.
    """
    _make_graph_dense(model.graph)
    for function in model.functions:
        _make_nodes_dense(function.node)


def _make_graph_dense(graph: onnx.GraphProto) -> None:
    for tensor in graph.sparse_initializer:
        graph.initializer.append(numpy_helper.from_array(_dense(tensor, tensor.values.name), tensor.values.name))
    del graph.sparse_initializer[:]
    _make_nodes_dense(graph.node)


def _make_nodes_dense(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.SPARSE_TENSOR and attribute.name == "sparse_value":
                dense = _dense(attribute.sparse_tensor, node.output[0] if node.output else node.name)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(dense)))
            for body in (attribute.g, *attribute.graphs):
                _make_graph_dense(body)


def _dense(tensor: onnx.SparseTensorProto, name: str) -> NDArray[np.generic]:
    """Return the dense array; indices (NNZ,) count elements in row-major order, (NNZ, rank) name the axes."""
    shape = tuple(tensor.dims)
    if tensor.values.data_location == onnx.TensorProto.EXTERNAL:
        raise UnreadableModel(f"sparse tensor '{name}' has external data; accepted: its values in the .onnx file")
    try:
        values, indices = numpy_helper.to_array(tensor.values), numpy_helper.to_array(tensor.indices)
        size = math.prod(shape) * values.itemsize
        if size > MAX_BYTES:
            raise UnsafeModel(f"sparse tensor '{name}' takes {size} bytes; accepted: up to {MAX_BYTES} bytes")
        dense = np.zeros(shape, values.dtype)
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
    except (IndexError, TypeError, ValueError):
        raise UnreadableModel(
            f"the values and indices of sparse tensor '{name}' do not fit its shape {list(shape)}; accepted: a "
            "complete .onnx file"
        ) from None
    return dense
