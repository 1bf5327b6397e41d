"""An inspection lists the layers that can be quantized, or says why a job would refuse the model."""

from onnx import helper

from quant.inputs import Inputs
from quant.plan.inspection import inspect_model
from tests.quant.graph.load.archives import MODEL, zipped
from tests.quant.graph.models import model_of, random_tensor


def inspected(path):
    return inspect_model(Inputs(path, path.name, {}), lambda *_: None)


def test_layers_have_shapes_bytes_and_kernels(examples):
    inspection = inspected(examples / "digits.onnx")
    assert inspection.refusal is None
    assert len(inspection.layers) == 7
    stem = inspection.layers[0]
    assert (stem.op, stem.weight_shape, stem.parameters, stem.bytes) == ("Conv", (24, 1, 3, 3), 216, 864)
    assert stem.kernel == "integer (QLinearConv)"


def test_a_torchscript_module_and_an_archive_are_inspected(examples, tmp_path):
    assert inspected(examples / "digits.pt").model.container == "torchscript"
    archive = tmp_path / "m.zip"
    archive.write_bytes(zipped(MODEL))
    inspection = inspected(archive)
    assert (inspection.model.container, len(inspection.layers)) == ("zip", 1)
    assert inspection.model.external_data[0].bytes is not None


def test_layers_in_float_have_a_reason(tmp_path):
    path = tmp_path / "m.onnx"
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up")]
    path.write_bytes(model_of(nodes, [random_tensor("w", 6, 4, 3, 3)], {"x": ["N", 6, 8, 8]}))
    assert inspected(path).layers[0].kernel == "float: ONNX Runtime runs ConvTranspose in float"


def test_a_custom_operator_is_described_and_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(model_of([helper.make_node("Odd", ["x"], ["y"], domain="acme")], domain="acme"))
    inspection = inspected(path)
    assert [count.operator for count in inspection.model.operators] == ["acme::Odd"]
    assert inspection.refusal is not None
    assert inspection.refusal.code == "model.unsupported_operator"
    assert inspection.layers == ()


def test_a_model_without_a_weight_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(model_of([helper.make_node("Relu", ["x"], ["y"])]))
    inspection = inspected(path)
    assert inspection.refusal is not None
    assert inspection.refusal.code == "model.nothing_to_quantize"
