"""Tensors whose shape depends on the values of the inputs, such as the boxes that a detector selects.

The float and the quantized model may give such a tensor different shapes, so it cannot be compared element by element.
"""

import onnx_ir as ir

from quant.graph.operators import reads_shape_only

ALL = (0, 1, 2, 3, 4)
"""All operands: the listed operators that read every operand have at most five."""
SHAPE_OPERANDS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("NonZero", "Unique", "NonMaxSuppression", "Compress", "StringSplit", "StringNormalizer"), ALL),
    "Reshape": (1,), "Expand": (1,), "Tile": (1,), "ConstantOfShape": (0,), "Range": (0, 1, 2), "Slice": (1, 2, 3, 4),
    "Resize": (1, 2, 3), "Upsample": (1,), "Pad": (1, 3), "TopK": (1,), "OneHot": (1,), "Split": (1,), "If": (0,),
    "SplitToSequence": (1,), "SequenceAt": (1,), "CenterCropPad": (1,), "AffineGrid": (1,), "MaxUnpool": (2,),
    "Col2Im": (1, 2), "Loop": (0, 1),
}  # fmt: skip
"""The operands whose values decide the shape of an operator's output."""


def value_shaped(graph: ir.Graph) -> frozenset[str]:
    """Return the names of the tensors of a graph whose shape depends on the values of the graph's inputs."""
    computed = {str(value.name) for value in graph.inputs if value.name not in graph.initializers}
    shaped: set[str] = set()
    for node in graph:
        inputs = [None if value is None else str(value.name) for value in node.inputs]
        outputs = [str(value.name) for value in node.outputs]
        operands = [inputs[index] for index in SHAPE_OPERANDS.get(node.op_type, ()) if index < len(inputs)]
        if reads_shape_only(node):
            values_vary = not shaped.isdisjoint(inputs)
        else:
            values_vary = not computed.isdisjoint(inputs)
            if not shaped.isdisjoint(inputs) or not computed.isdisjoint(operands):
                shaped.update(outputs)
        if values_vary:
            computed.update(outputs)
    return frozenset(shaped)
