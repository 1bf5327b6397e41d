"""The description of a file is what the file declares, also for files that a job refuses."""

import pytest
from onnx import TensorProto, helper

from quant.errors import UnreadableModel
from quant.plan.description import describe
from tests.quant.graph.load.archives import MODEL, WEIGHT, external_model
from tests.quant.graph.models import model_of, random_tensor


@pytest.fixture
def described(tmp_path):
    def run(data, **files):
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_bytes(content)
        path = tmp_path / "m.onnx"
        path.write_bytes(data)
        return describe(path, "m.onnx", "onnx")

    return run


def test_versions_ports_and_parameters_are_those_of_the_file(described, examples):
    description = described((examples / "digits.onnx").read_bytes())
    assert (description.ir_version, description.opsets) == (8, {"ai.onnx": 17})
    assert description.producer.startswith("pytorch ")
    (port,) = description.inputs
    assert (port.name, port.type, port.shape, port.batch_axis) == ("input", "float32", ("N", 1, 8, 8), 0)
    assert description.outputs[0].batch_axis is None
    assert description.bytes == (examples / "digits.onnx").stat().st_size
    assert next(iter(description.operators)).operator == "BatchNormalization"


def test_the_batch_is_the_axis_that_is_named_so(described):
    data = model_of([helper.make_node("Relu", ["x"], ["y"])], inputs={"x": [5, "batch", 3]})
    assert described(data).inputs[0].batch_axis == 1


def test_inputs_without_shape_or_type_of_tensors_are_described(described):
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    nodes = [helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)]
    model = helper.make_model(helper.make_graph(nodes, "g", [sequence], [helper.make_tensor_value_info("y", 1, None)]))
    description = described(model.SerializeToString())
    assert (description.inputs[0].type, description.inputs[0].shape) == ("sequence", None)
    assert description.outputs[0].shape is None


def test_custom_operators_are_marked_and_functions_are_not(described):
    function = helper.make_function(
        "local", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [helper.make_node("f", ["x"], ["h"], domain="local"), helper.make_node("Odd", ["h"], ["y"], domain="acme")]
    description = described(model_of(nodes, functions=[function], domain="local"))
    assert {count.operator: count.custom for count in description.operators} == {
        "Relu": False, "local::f": False, "acme::Odd": True,
    }  # fmt: skip
    assert description.functions == ("local::f",)


def test_nodes_and_weights_in_bodies_count(described):
    body = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["b"])], "body", [], [helper.make_tensor_value_info("b", 1, None)],
        [random_tensor("w", 6, 6)],
    )  # fmt: skip
    node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    description = described(model_of([node], inputs={"x": ["N", 6], "c": (TensorProto.BOOL, [])}))
    assert {count.operator: count.nodes for count in description.operators} == {"MatMul": 2, "If": 1}
    assert description.parameters == 72
    assert description.inputs[1].batch_axis is None


def test_external_data_is_listed_with_its_size(described):
    description = described(external_model(), weights_bin=WEIGHT.tobytes())
    (file,) = description.external_data
    assert (file.location, file.tensors, file.bytes) == ("weights.bin", 1, WEIGHT.nbytes)
    assert description.bytes == len(MODEL[0][1]) + WEIGHT.nbytes


@pytest.mark.parametrize("location", ["missing.bin", "/etc/hostname", "../m.onnx", "a\0b", ""])
def test_no_file_outside_the_folder_is_looked_at(described, location):
    (file,) = described(external_model(location)).external_data
    assert file.bytes is None


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x08"])
def test_a_file_that_is_no_model_is_refused(described, data):
    with pytest.raises(UnreadableModel):
        described(data)


def test_text_that_is_not_utf8_is_described(described):
    data = model_of([helper.make_node("Relu", ["x"], ["abcd"])], outputs=("abcd",))
    assert described(data.replace(b"abcd", b"ab\xff\xfe")).outputs[0].name == "ab��"
