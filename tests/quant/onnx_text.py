"""Small models in the text form of ONNX."""

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise


def proto_of(text, **arrays):
    """The bytes of a model from its text, `net (..) => (..) {..}`, and its initializers."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {text}')
    proto.graph.initializer.extend(
        numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name)
        for name, array in arrays.items()
    )
    for number, node in enumerate(proto.graph.node):
        node.name = node.name or f"{node.op_type.lower()}{number}"
    return proto.SerializeToString()


def model_of(text, **arrays) -> ir.Model:
    """The same in normal form."""
    return normalise(load(proto_of(text, **arrays)))


def node_of(model, op):
    """The only node of this operator."""
    (node,) = (node for node in model.graph if node.op_type == op)
    return node
