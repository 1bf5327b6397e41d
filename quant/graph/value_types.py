"""The element types of all values of a model."""

import onnx
import onnx_ir as ir

from quant.graph.signature import set_map_types_aside
from quant.graph.weightless import weightless


def infer_types(model: ir.Model) -> None:
    """Declare the element types that onnx can infer for values of the main graph, in place; shapes stay as they are."""
    proto = onnx.ModelProto()
    proto.CopyFrom(weightless(model).proto)
    inferred = onnx.shape_inference.infer_shapes(proto)
    set_map_types_aside(inferred)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    for node in model.graph:
        for value in node.outputs:
            number = types.get(str(value.name), 0)
            if value.dtype is None and number:
                value.type = ir.TensorType(ir.DataType(number))
