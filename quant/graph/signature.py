"""Signatures: the names, types and shapes of a model's inputs and outputs, in their order.

Callers feed and read a model by its signature, so an exported model has that of the uploaded one. onnx-ir has no type
for maps; such types are set aside when a model is read, and kept in their serialized form.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from quant.errors import ExportError

_TYPE = "quantd.type"
"""The key in a value's `meta` for the serialized type that onnx-ir cannot hold."""


@dataclass(frozen=True)
class Port:
    """An input or output: its name and its serialized `onnx.TypeProto`."""

    name: str
    type: bytes

    def __str__(self) -> str:
        """Return the port for messages, as in "x: float[N, 3]"."""
        kind = onnx.TypeProto.FromString(self.type)
        if kind.WhichOneof("value") != "tensor_type":
            return f"{self.name}: {' '.join(str(kind).split())}"
        tensor = kind.tensor_type
        shape = [dim.dim_param or (dim.dim_value if dim.HasField("dim_value") else "?") for dim in tensor.shape.dim]
        sizes = f"[{', '.join(map(str, shape))}]" if tensor.HasField("shape") else ""
        return f"{self.name}: {onnx.TensorProto.DataType.Name(tensor.elem_type).lower()}{sizes}"


@dataclass(frozen=True)
class Signature:
    """The inputs that a caller has to feed, and the outputs."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        """Return the signature for messages."""
        return f"({_joined(self.inputs)}) -> ({_joined(self.outputs)})"


def signature_of(model: ir.Model) -> Signature:
    """Return the signature of a model; an input with a default value is not a part of it."""
    inputs = tuple(_port(value) for value in model.graph.inputs if not value.is_initializer())
    return Signature(inputs, tuple(_port(value) for value in model.graph.outputs))


def declare_types(model: ir.Model, signature: Signature) -> None:
    """Declare the types and shapes of the signature for the inputs and outputs of the same name, in place.

    Passes infer shapes, and so may declare more of them, or other names for free axes, than the signature does.
    """
    ports = {port.name: port.type for port in (*signature.inputs, *signature.outputs)}
    for value in (*model.graph.inputs, *model.graph.outputs):
        if str(value.name) in ports and not value.is_initializer():
            _declare(value, ports[str(value.name)])


def require_signature(model: ir.Model, expected: Signature) -> None:
    """Check that the model has this signature.

    Raises:
        ExportError: an input or output differs.
    """
    actual = signature_of(model)
    for kind, declared, present in (
        ("input", expected.inputs, actual.inputs),
        ("output", expected.outputs, actual.outputs),
    ):
        number = next(_differing(declared, present), None)
        if number is not None:
            raise ExportError(
                f"{kind} {number} of the quantized model is {_described(present, number)} and that of the uploaded "
                f"model {_described(declared, number)}; uploaded: {expected}; quantized: {actual}"
            )


def set_map_types_aside(proto: onnx.ModelProto) -> dict[str, bytes]:
    """Remove the types that onnx-ir cannot hold from a model in place; return those of the inputs and outputs by name.

    ONNX Runtime and onnx infer the type of an output that declares none.
    """
    return _remove_map_types(proto.graph)


def keep_map_types(model: ir.Model, types: dict[str, bytes]) -> None:
    """Record types that were set aside in the model's inputs and outputs, in place."""
    for value in (*model.graph.inputs, *model.graph.outputs):
        if str(value.name) in types:
            value.meta[_TYPE] = types[str(value.name)]


def write_map_types(model: ir.Model, proto: onnx.ModelProto) -> None:
    """Write types that were set aside into the serialized model, in place."""
    graph = model.graph
    for values, infos in ((graph.inputs, proto.graph.input), (graph.outputs, proto.graph.output)):
        for value, info in zip(values, infos, strict=True):
            if _TYPE in value.meta:
                info.type.ParseFromString(value.meta[_TYPE])


def _remove_map_types(graph: onnx.GraphProto) -> dict[str, bytes]:
    """Remove the types from one graph and its bodies; return those of the graph's inputs and outputs by name."""
    types: dict[str, bytes] = {}
    for info in (*graph.input, *graph.output, *graph.value_info):
        if _has_map(info.type):
            types[info.name] = info.type.SerializeToString(deterministic=True)
            info.ClearField("type")
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                _remove_map_types(body)
    return types


def _has_map(kind: onnx.TypeProto) -> bool:
    """Return True if the type is a map or opaque, or a sequence or optional of such values."""
    which = kind.WhichOneof("value")
    if which in ("sequence_type", "optional_type"):
        return _has_map(getattr(kind, which).elem_type)
    return which in ("map_type", "opaque_type")


def _port(value: ir.Value) -> Port:
    kind = value.meta[_TYPE] if _TYPE in value.meta else ir.to_proto(value).type.SerializeToString(deterministic=True)
    return Port(str(value.name), kind)


def _declare(value: ir.Value, serialized: bytes) -> None:
    """Give the value a declared type and shape."""
    kind = onnx.TypeProto.FromString(serialized)
    if _has_map(kind):
        value.meta[_TYPE] = serialized
        return
    declared = ir.serde.deserialize_type_proto_for_type(kind)
    value.shape = ir.serde.deserialize_type_proto_for_shape(kind)
    if declared is None or declared.dtype != ir.DataType.BFLOAT16:  # NumPy has no BF16: it becomes FP32
        value.type = declared


def _differing(declared: tuple[Port, ...], present: tuple[Port, ...]) -> Iterator[int]:
    """Yield the numbers at which two lists of ports differ."""
    for number in range(max(len(declared), len(present))):
        if declared[number : number + 1] != present[number : number + 1]:
            yield number


def _described(ports: tuple[Port, ...], number: int) -> str:
    return f"'{ports[number]}'" if number < len(ports) else "absent"


def _joined(ports: tuple[Port, ...]) -> str:
    return ", ".join(map(str, ports))
