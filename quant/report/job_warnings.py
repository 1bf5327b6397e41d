"""Warnings about a job as a whole: a search that ended at its time limit, and a file that has grown."""

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from quant.deadline import Deadline
from quant.outcome.summary import LIMIT_CODE, JobWarning
from quant.search.choice import Choice

SIZE_CODE = "size.grown"
_SMALL_TYPES = frozenset({
    onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT4, onnx.TensorProto.UINT4,
    onnx.TensorProto.INT2, onnx.TensorProto.UINT2, onnx.TensorProto.INT32,
})  # fmt: skip
"""The types of codes: those of weights, and of biases, which replace as many float bytes."""


def limit_warnings(deadline: Deadline) -> Iterator[JobWarning]:
    """Yield the warning that the time limit of the spec ended the search, if it did."""
    if deadline.skipped:
        yield JobWarning(
            code=LIMIT_CODE,
            detail=f"the time limit of {deadline.seconds:g} s ended the search with the best candidate so far; "
            f"left out: {', '.join(deadline.skipped)}; the result depends on measured time: an "
            "equal job may give another one; accepted for a full search: a larger limits.seconds, or fewer calibration "
            "samples",
        )


def size_warnings(bytes_before: int, bytes_after: int, choice: Choice | None) -> Iterator[JobWarning]:
    """Yield the warning that the quantized file is larger than the float model, with what it is made of, if it is.

    Args:
        bytes_before: the size of the uploaded model.
        bytes_after: the size of the quantized model.
        choice: the exported candidate; None where the model was quantized layer by layer.
    """
    if bytes_after <= bytes_before:
        return
    parts = {} if choice is None else _growth(bytes_before, choice)
    causes = ", ".join(f"{size} bytes of {name}" for name, size in sorted(parts.items(), key=lambda part: -part[1]))
    yield JobWarning(
        code=SIZE_CODE,
        detail=f"the quantized file is {bytes_after / bytes_before:.2f} times as large as the float model"
        f"{f'; added: {causes}' if causes else ''}; accepted for a smaller file: per-tensor scales, a uniform grid, or "
        "layer rules that skip small layers",
    )


def _growth(bytes_before: int, choice: Choice) -> dict[str, int]:
    """Return the bytes by which each part of the file has grown, for the parts that have."""
    before, after = ir.to_proto(choice.context.model).graph, ir.to_proto(choice.model).graph
    known = {tensor.name for tensor in before.initializer}
    tables = [tensor for tensor in after.initializer if tensor.name not in known and not _holds_codes(tensor)]
    parts = {
        "constants and nodes of the normal form of the graph": before.ByteSize() - bytes_before,
        "scales, zero points and tables of levels": sum(tensor.ByteSize() for tensor in tables),
        "nodes that quantize and dequantize": _node_bytes(after) - _node_bytes(before),
    }
    return {name: size for name, size in parts.items() if size > 0}


def _holds_codes(tensor: onnx.TensorProto) -> bool:
    """Return True if the tensor can hold the codes of a weight or a bias; zero points have one value."""
    return tensor.data_type in _SMALL_TYPES and len(tensor.dims) > 0


def _node_bytes(graph: onnx.GraphProto) -> int:
    return sum(node.ByteSize() for node in graph.node)
