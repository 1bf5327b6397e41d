"""Conversion of a float32 model to float16.

A node computes in float16 unless its operator, the values that were seen at it, or its constants need float32
(`reason_for_float32`). Casts join both kinds of nodes. Inputs and outputs of the model keep their types and names, and
bodies of If, Loop and Scan stay in float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from quant.calibration.magnitudes import largest_finite
from quant.export.qdq import tidy
from quant.graph.constants import add_initializer, constant, constant_tensor
from quant.graph.names import Names
from quant.graph.operators import is_cast, needs_float32, types_by_attribute
from quant.graph.value_types import infer_types

MAX = 65504.0
"""The largest number of float16."""
SEEN_MAX = MAX / 2
"""The largest magnitude of calibrated values for float16: half of its range is left for values that were not seen."""
LEAST_NORMAL = 2.0**-14
"""The least normal number of float16; a single constant below, such as the epsilon of a norm, needs float32."""
LEAST = 2.0**-17
"""The least of the largest magnitudes of a tensor in float16: it then has 8 bits."""


@dataclass
class StoredHalves:
    """The energies of the constants that are stored as float16 and of their errors, and their number."""

    signal: float = 0.0
    noise: float = 0.0
    values: int = 0

    def plus(self, other: "StoredHalves") -> "StoredHalves":
        """Return the energies and the numbers of both."""
        return StoredHalves(self.signal + other.signal, self.noise + other.noise, self.values + other.values)

    def round(self, array: NDArray[np.generic]) -> NDArray[np.float16]:
        """Return the array as float16, and count it."""
        halves: NDArray[np.float16] = array.astype(np.float16)
        finite = np.isfinite(array)
        exact = array[finite].astype(np.float64)
        self.signal += float(np.vdot(exact, exact))
        self.noise += float(((halves[finite].astype(np.float64) - exact) ** 2).sum())
        self.values += array.size
        return halves


@dataclass(frozen=True)
class Float32Node:
    """A node that stays in float32, and why."""

    name: str
    op: str
    reason: str


def convert_to_float16(model: ir.Model, magnitudes: Mapping[str, float]) -> tuple[StoredHalves, list[Float32Node]]:
    """Convert the model in place; return the errors of its constants, and the nodes on floats that stay in float32.

    Args:
        model: a normalised model.
        magnitudes: the largest magnitude of each tensor, by name, as far as it is known.
    """
    infer_types(model)
    opset, stored = model.opset_imports[""], StoredHalves()
    float32 = {node: reason_for_float32(node, magnitudes, opset) for node in model.graph}
    types = _Types(model.graph, stored)
    for node, reason in float32.items():
        schema = None if reason else onnx.defs.get_schema(node.op_type, opset, "")
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
                half = schema is not None and _takes_half(schema.inputs, index)
                node.replace_input_with(index, types.read(value, half=half))
        if schema is not None:
            _halve_outputs(node, schema)
    types.restore_bodies_and_outputs()
    types.store_constants_once()
    tidy(model)
    in_float32 = [(node, reason) for node, reason in float32.items() if reason and _computes_floats(node)]
    return stored, [Float32Node(str(node.name), node.op_type, reason) for node, reason in in_float32]


def reason_for_float32(node: ir.Node, magnitudes: Mapping[str, float], opset: int) -> str | None:
    """Return why a node must compute in float32; None if float16 serves.

    Args:
        node: a node of a model whose types are inferred.
        magnitudes: the largest magnitude of each tensor, by name.
        opset: the model's opset.
    """
    if node.domain != "" or not onnx.defs.has(node.op_type, ""):
        return "its operator is not one of ONNX"
    if any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in node.attributes.values()
    ):
        return "its body stays in float32"
    if any(value is not None and value.name and value.dtype is None for value in (*node.inputs, *node.outputs)):
        return "the type of a value that it reads or writes is not known"
    if needs_float32(node):
        return "the values inside this operator need the range of float32"
    if types_by_attribute(node):
        return "an attribute gives it its type"
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    floats = [
        index for index, value in enumerate(node.inputs) if value is not None and value.dtype == ir.DataType.FLOAT
    ]
    if not is_cast(node) and not any(_takes_half(schema.inputs, index) for index in floats):
        return "its operator takes no float16"
    return _reason_by_values(node, magnitudes)


def _reason_by_values(node: ir.Node, magnitudes: Mapping[str, float]) -> str | None:
    """Return why the values that a node reads and writes need float32; None if float16 serves."""
    for value in (*node.inputs, *node.outputs):
        array = constant(value)
        if value is None or (array is not None and array.dtype != np.float32):
            continue
        known = magnitudes.get(str(value.name), 0.0) if array is None else largest_finite(array)
        highest = SEEN_MAX if array is None else MAX
        lowest = LEAST_NORMAL if array is not None and array.size == 1 else LEAST
        if known > highest:
            return f"values up to {known:.3g} come close to the largest float16 or exceed it"
        if 0 < known < lowest:
            return f"values of at most {known:.3g} are too small for float16"
    return None


def _takes_half(formals: "Sequence[onnx.defs.OpSchema.FormalParameter]", index: int) -> bool:
    """Return True if a parameter of an operator may be float16; the last one may repeat."""
    return "tensor(float16)" in formals[min(index, len(formals) - 1)].types


def _halve_outputs(node: ir.Node, schema: onnx.defs.OpSchema) -> None:
    """Declare the outputs of a node in float16, as far as its operator writes it."""
    for index, value in enumerate(node.outputs):
        if value.dtype == ir.DataType.FLOAT and _takes_half(schema.outputs, index):
            value.type = ir.TensorType(ir.DataType.FLOAT16)  # clones of a model share the type objects
            if is_cast(node):
                node.attributes.add(ir.AttrInt64("to", ir.DataType.FLOAT16))


def _computes_floats(node: ir.Node) -> bool:
    """Return True if the node writes a float that it computes."""
    return any(value.dtype == ir.DataType.FLOAT for value in node.outputs)


@dataclass
class _Types:
    """Both types of each value of a graph: the one that its node writes, and a Cast to the other where it is read."""

    graph: ir.Graph
    stored: StoredHalves
    _other: dict[ir.Value, ir.Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = Names.of(self.graph)

    def read(self, value: ir.Value, *, half: bool) -> ir.Value:
        """Return the value in float16 or in float32."""
        if (value.dtype == ir.DataType.FLOAT16) == half:
            return value
        if value not in self._other:
            array = constant(value) if half else None
            self._other[value] = self._cast(value, half=half) if array is None else self._constant(value, array)
        return self._other[value]

    def restore_bodies_and_outputs(self) -> None:
        """Let bodies read float32, and let outputs of the model be float32 under their names."""
        for value in [output for node in self.graph for output in node.outputs if output.dtype == ir.DataType.FLOAT16]:
            for reader, index in list(value.uses()):
                if reader.graph is not self.graph:
                    reader.replace_input_with(index, self.read(value, half=False))
            if value.is_graph_output():
                self._keep_output(value)

    def store_constants_once(self) -> None:
        """Let nodes that read a constant in float32 read a Cast of it, where others read it in float16."""
        for value, other in list(self._other.items()):
            if constant_tensor(value) is not None and value.uses() and not value.is_graph_output():
                value.replace_all_uses_with(self._cast(other, half=False))

    def _keep_output(self, value: ir.Value) -> None:
        name, value.name = str(value.name), self._names.value(f"{value.name}_float16")
        cast = self._node(value, ir.DataType.FLOAT, name)
        self.graph.append(cast)
        for index, output in enumerate(self.graph.outputs):
            if output is value:
                self.graph.outputs[index] = cast.outputs[0]

    def _constant(self, value: ir.Value, array: NDArray[np.generic]) -> ir.Value:
        return add_initializer(self.graph, f"{value.name}_float16", self.stored.round(array), self._names)

    def _cast(self, value: ir.Value, *, half: bool) -> ir.Value:
        dtype = ir.DataType.FLOAT16 if half else ir.DataType.FLOAT
        cast = self._node(value, dtype, self._names.value(f"{value.name}_{str(dtype).lower()}"))
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], cast)
        else:
            self.graph.insert_after(producer, cast)
        return cast.outputs[0]

    def _node(self, source: ir.Value, dtype: ir.DataType, name: str) -> ir.Node:
        output = ir.Value(name=name, type=ir.TensorType(dtype), shape=source.shape)
        return ir.Node("", "Cast", [source], [ir.AttrInt64("to", dtype)], outputs=[output], name=self._names.node(name))
