"""Time by layer: names of executed nodes, and medians over runs."""

import numpy as np
import pytest

from quant.evaluation.layer_times import _by_layer, layer_of, time_layers
from quant.runtime import NodeTime, Session
from tests.quant.onnx_text import proto_of

LAYERS = {
    "Conv_c": ("Conv_c", "Conv"), "c": ("Conv_c", "Conv"), "r": ("Conv_c", "Conv"),
    "/a/b/MatMul": ("/a/b/MatMul", "MatMul"),
    "MatMul_7": ("", ""), "MatMul": ("MatMul", "MatMul"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("executed", "layer"),
    [
        ("Conv_c", "Conv_c"),
        ("Conv_c_token_12", "Conv_c"),
        ("r_nchwc", "Conv_c"),
        ("fused Conv_c", "Conv_c"),
        ("c_dequantize", "Conv_c"),
        ("c_dequantize/duplicated", "Conv_c"),
        ("/a/b/MatMul/MatMulAddFusion", "/a/b/MatMul"),
        ("/a/b/MatMul_token_1", "/a/b/MatMul"),
        ("MatMul_3_token_0", "MatMul"),
        ("MatMul_7_token_0", ""),
        ("Transpose_token_3", ""),
        ("x_quantize", ""),
        ("", ""),
    ],
)
def test_the_longest_beginning_decides_the_layer(executed, layer):
    assert layer_of(executed, LAYERS) == layer


def test_medians_leave_out_the_first_run_and_add_up_by_layer():
    nodes = [
        NodeTime("Conv_c_token_1", (900.0, 10.0, 12.0, 11.0)),
        NodeTime("c_dequantize", (90.0, 1.0, 1.0, 1.0)),
        NodeTime("Loop_body", (9.0, 9.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0)),
        NodeTime("varying", (3.0, 3.0, 3.0)),
    ]
    assert _by_layer(nodes, 4, LAYERS) == pytest.approx({"Conv_c": 0.012, "": 0.003 + 9 / 4 / 1000})


def test_layers_of_both_models_are_listed_with_the_rest():
    rng = np.random.default_rng(0)
    text = "net (float[n, 128] x) => (float[n, 128] y) {h = MatMul(x, w) y = Softmax(h)}"
    model = proto_of(text, w=rng.normal(size=(128, 128)))
    names = {"matmul0": ("matmul0", "MatMul"), "softmax1": ("", "")}
    feeds = {"x": rng.normal(size=(64, 128)).astype(np.float32)}
    (layer,), other = time_layers(lambda profile: Session(model, threads=1, profile=profile), model, feeds, names)
    assert (layer.name, layer.op) == ("matmul0", "MatMul")
    assert layer.float_ms > 0
    assert layer.quantized_ms > 0
    assert other.float_ms > 0
