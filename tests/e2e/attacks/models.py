"""Files that an attacker may upload, and small valid ones."""

import io
import tarfile
import zipfile

import numpy as np
from onnx import TensorProto, helper, load_from_string, numpy_helper

SECRET = b"the machine's own secret"


def onnx(nodes, initializers=(), inputs=("x",), opset=17, domain=""):
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(initializers),
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def weight(name="w", shape=(4, 4)):
    return numpy_helper.from_array(np.random.default_rng(0).normal(size=shape).astype(np.float32), name)


def perceptron():
    """Return a valid model of two layers."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"], "second"),
    ]
    return onnx(nodes, [weight(), weight("v")])


def external(location, **entries):
    """Return a model whose weight is in another file."""
    tensor = weight()
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": str(location), **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return onnx([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor])


def folding(elements):
    """Return a hundred bytes that make constant folding allocate `elements` floats."""
    shape = numpy_helper.from_array(np.array([elements], np.int64), "s")
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["one"]),
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Add", ["h", "one"], ["y"]),
    ]
    return onnx(nodes, [shape, weight()])


def endless():
    """Return a model with a loop of 2**62 iterations for every sample."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Relu", ["v"], ["u"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("u", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Loop", ["rounds", "go", "h"], ["y"], body=body),
    ]
    rounds = numpy_helper.from_array(np.array(2**62, np.int64), "rounds")
    return onnx(nodes, [weight(), rounds, numpy_helper.from_array(np.array(True), "go")])


def chained(functions):
    """Return a model whose functions call each other, the first the second and so on."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = load_from_string(onnx([helper.make_node("F0", ["x"], ["y"], domain="own")], [weight()]))
    model.opset_import.append(imports[1])
    for number in range(functions):
        last = number == functions - 1
        call = helper.make_node("Relu", ["a"], ["b"]) if last else helper.make_node(
            f"F{number + 1}", ["a"], ["b"], domain="own"
        )  # fmt: skip
        model.functions.append(helper.make_function("own", f"F{number}", ["a"], ["b"], [call], imports))
    return model.SerializeToString()


def named(name, operator="MatMul"):
    """Return a model whose layer has a name of any length."""
    return onnx([helper.make_node(operator, ["x", "w"], ["y"], name)], [weight()])


def nested(depth):
    """Return a model with deeply nested subgraphs, written in the wire format."""
    graph = b""
    for _ in range(depth):
        graph = _field(1, _field(5, _field(6, graph)))  # graph.node.attribute.g
    return b"\x08\x08" + _field(7, graph) + _field(8, b"\x10\x11")


def crowded(nodes):
    """Return a model whose nodes need two bytes each on the wire and hundreds in memory."""
    return b"\x08\x08" + _field(7, b"\x0a\x00" * nodes) + _field(8, b"\x10\x11")  # opset 17


def _field(number, data):
    """Return a length-delimited field of protobuf."""
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def zipped(links=None, compression=zipfile.ZIP_STORED, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            archive.writestr(entry, str(target))
    return buffer.getvalue()


def tarred(links=None, **members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, str(target)
            archive.addfile(entry)
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def hollow_npz(elements):
    """Return the header of an array without its data."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (elements, 4)})
    return zipped(**{"x.npy": header.getvalue()})
