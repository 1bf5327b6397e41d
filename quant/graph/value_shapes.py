"""Tensors whose shape depends on the values of the inputs, such as the boxes that a detector selects.

The float and the quantized model may give such a tensor different shapes, so it cannot be compared element by element.
"""

import onnx_ir as ir

ALL = (0, 1, 2, 3, 4)
SHAPE_OPERANDS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("NonZero", "Unique", "NonMaxSuppression", "Compress", "StringSplit", "StringNormalizer"), ALL),
    "Reshape": (1,), "Expand": (1,), "Tile": (1,), "ConstantOfShape": (0,), "Range": (0, 1, 2), "Slice": (1, 2, 3, 4),
    "Resize": (1, 2, 3), "Upsample": (1,), "Pad": (1, 3), "TopK": (1,), "OneHot": (1,), "Split": (1,), "If": (0,),
    "SplitToSequence": (1,), "SequenceAt": (1,), "CenterCropPad": (1,), "AffineGrid": (1,), "MaxUnpool": (2,),
    "Col2Im": (1, 2), "Loop": (0, 1),
}  # fmt: skip
"""The operands whose values decide the shape of an operator's output."""
READS_SHAPE = {"Shape": True, "Size": True}
"""Operators whose output depends on the shape of their input, not on its values."""


def value_shaped(graph: ir.Graph) -> frozenset[str]:
    """Return the names of the tensors of a graph whose shape depends on the values of the graph's inputs."""
    computed = {str(value.name) for value in graph.inputs if value.name not in graph.initializers}
    shaped: set[str] = set()
    for node in graph:
        inputs = [None if value is None else str(value.name) for value in node.inputs]
        outputs = [str(value.name) for value in node.outputs]
        operands = [inputs[index] for index in SHAPE_OPERANDS.get(node.op_type, ()) if index < len(inputs)]
        reads_shape = READS_SHAPE.get(node.op_type, False)
        from_shaped = not shaped.isdisjoint(inputs)
        if not reads_shape and (from_shaped or not computed.isdisjoint(operands)):
            shaped.update(outputs)
        if from_shaped if reads_shape else not computed.isdisjoint(inputs):
            computed.update(outputs)
    return frozenset(shaped)
