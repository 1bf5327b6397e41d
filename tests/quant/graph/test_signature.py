"""The inputs and outputs of a rewritten model are those of the model that was read."""

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from quant.errors import ExportError
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.graph.signature import declare_types, require_signature, signature_of, write_map_types
from tests.quant.graph.models import model_of, random_tensor

NET = """<ir_version: 10, opset_import: ["": 21]>
    net (float[N, 4] x, float[2] d) => (float[N, 4] y, x) <float[2] d = {1, 2}> { y = Relu (x) }"""


def norm(source, output, prefix=""):
    names = [f"{prefix}{name}" for name in ("gamma", "beta", "mean", "variance")]
    return helper.make_node("BatchNormalization", [source, *names], [output]), [
        random_tensor(name, 5, positive=True) for name in names
    ]


BATCHNORM, STATISTICS = norm("c", "y")
ENDS = {
    "BatchNormalization": ([BATCHNORM], STATISTICS),
    "Add": ([helper.make_node("Add", ["c", "s"], ["y"])], [random_tensor("s", 1, 5, 1, 1)]),
    "Mul": ([helper.make_node("Mul", ["s", "c"], ["y"])], [random_tensor("s", 1)]),
    "Identity": ([helper.make_node("Identity", ["c"], ["y"])], []),
    "Mul and Add": ([helper.make_node("Mul", ["c", "s"], ["m"]), helper.make_node("Add", ["m", "s"], ["y"])],
                    [random_tensor("s", 5, 1, 1)]),
    "an output that another node reads": ([BATCHNORM, helper.make_node("Relu", ["y"], ["z"])], STATISTICS),
    "both sides of a fold": ([helper.make_node("Add", ["c", "s"], ["y"])], [random_tensor("s", 1, 5, 1, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16], ids=["fp32", "fp16"])
@pytest.mark.parametrize("opset", [13, 21])
def test_what_is_folded_into_a_layer_leaves_the_names_of_the_outputs(end, kind, opset):
    behind, tensors = ENDS[end]
    extra = {"an output that another node reads": ("z",), "both sides of a fold": ("c",)}.get(end, ())
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), *behind]
    tensors = [random_tensor("w", 5, 4, 3, 3), *tensors]
    for tensor in tensors if kind == TensorProto.FLOAT16 else ():
        array = onnx.numpy_helper.to_array(tensor).astype("float16")
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    outputs = {name: (kind, ["batch", 5, "H", "W"]) for name in ("y", *extra)}
    model = load(model_of(nodes, tensors, {"x": (kind, ["batch", 4, 9, 9])}, outputs, opset=opset))
    expected = signature_of(model)
    require_signature(normalise(model), expected)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64])
def test_an_input_and_an_initializer_can_be_outputs(kind):
    shape = (kind, ["N", 3])
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    weight = helper.make_tensor("w", kind, [3], [1, 2, 3])
    model = load(model_of(nodes, [weight], {"x": shape}, {"x": shape, "w": (kind, [3]), "y": shape}))
    expected = signature_of(model)
    require_signature(normalise(model), expected)


def test_an_input_with_a_default_value_is_no_part_of_the_signature():
    signature = signature_of(ir.from_onnx_text(NET))
    assert [port.name for port in signature.inputs] == ["x"]
    assert [port.name for port in signature.outputs] == ["y", "x"]


def test_declared_shapes_replace_inferred_ones():
    model = ir.from_onnx_text(NET)
    signature = signature_of(model)
    model.graph.outputs[0].shape = ir.Shape(["M", 4])
    with pytest.raises(ExportError, match=r"output 0 .*M.*uploaded.*N"):
        require_signature(model, signature)
    declare_types(model, signature)
    require_signature(model, signature)


@pytest.mark.parametrize("change", ["name", "type", "order", "number"])
def test_a_difference_is_refused_with_both_signatures(change):
    model = ir.from_onnx_text(NET)
    signature, outputs = signature_of(model), model.graph.outputs
    if change == "name":
        outputs[0].name = "z"
    elif change == "type":
        outputs[0].dtype = ir.DataType.DOUBLE
    elif change == "order":
        outputs[:] = [outputs[1], outputs[0]]
    else:
        outputs.pop()
    with pytest.raises(ExportError, match="uploaded"):
        require_signature(model, signature)


def test_a_map_stays_declared():
    nodes = [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[1, 2, 3])]
    proto = onnx.load_model_from_string(model_of(nodes, inputs={"x": ["N", 3]}, domain="ai.onnx.ml"))
    element = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    declared = helper.make_sequence_type_proto(element)
    proto.graph.output[0].type.CopyFrom(declared)
    model = load(proto.SerializeToString())
    expected = signature_of(model)
    model = normalise(model)
    require_signature(model.clone(), expected)
    written = ir.to_proto(model)
    write_map_types(model, written)
    assert written.graph.output[0].type == declared
