"""A value's only reader is found, unless the value is an output too."""

from quant.graph.uses import only_reader, only_use
from tests.quant.onnx_text import model_of, node_of


def outputs_of(text):
    model = model_of(text)
    return model, node_of(model, "Relu").outputs[0]


def test_the_only_reader_is_returned_with_the_number_of_its_operand():
    model, value = outputs_of("net (float[N, 4] x) => (float[N, 4] y) { r = Relu (x)  y = Sub (x, r) }")
    assert only_use(value) == (node_of(model, "Sub"), 1)
    assert only_reader(value) is None  # it is not the first operand


def test_a_first_operand_has_an_only_reader():
    model, value = outputs_of("net (float[N, 4] x) => (float[N, 4] y) { r = Relu (x)  y = Sub (r, x) }")
    assert only_reader(value) is node_of(model, "Sub")


def test_two_uses_by_one_node_are_two_readers():
    _, value = outputs_of("net (float[N, 4] x) => (float[N, 4] y) { r = Relu (x)  y = Sub (r, r) }")
    assert only_use(value) == (None, 0)


def test_an_output_of_the_model_is_read_by_the_caller_too():
    _, value = outputs_of("net (float[N, 4] x) => (float[N, 4] y, float[N, 4] r) { r = Relu (x)  y = Sub (r, x) }")
    assert only_use(value) == (None, 0)
