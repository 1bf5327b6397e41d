"""A model of one Gemm whose weight a test chooses, and its quantized layer."""

from onnx import TensorProto, helper, numpy_helper

from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.spec import resolve
from quant.weights.layers import choose_layers, quantize_layers


def quantized(weight, name="layer", layers=(), **options):
    """Return the layer with this weight (outputs, inputs), quantized without data to 4 bits by channel or by `options`.

    The second value is its spec.

    Args:
        weight: the weight.
        name: the name of the layer.
        layers: the layer rules of the spec.
        options: the weight options of the spec.
    """
    spec = resolve({"preset": "int4-weights", "weights": {"granularity": "channel", **options}, "layers": list(layers)})
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], name=name, transB=1)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", weight.shape[1]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    work, _ = choose_layers(normalise(load(proto.SerializeToString())), spec)
    return quantize_layers(work, {}, spec, lambda *_: None)[0], spec
