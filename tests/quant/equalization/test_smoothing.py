"""Smoothing keeps the outputs, and lowers the error of layers whose inputs have outliers."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.calibration.channel_inputs import ChannelInputs
from quant.equalization.smoothing import linear_groups, smooth
from quant.equalization.smoothing_factors import Precision, choose_smoothing
from quant.graph.inventory import inventory
from quant.runtime import Session
from tests.quant.onnx_text import model_of

RNG = np.random.default_rng(0)
W = RNG.normal(size=(16, 8)).astype(np.float32)
SPREAD = np.where(np.arange(16) == 3, 80.0, 1.0).astype(np.float32)
ROWS = (RNG.normal(size=(256, 16)) * SPREAD + (np.arange(16) == 5) * 9).astype(np.float32)
STATIC = Precision(input_levels=256, symmetric=False, weight_levels=127, block=0)
WEIGHT_ONLY = Precision(input_levels=None, symmetric=False, weight_levels=7, block=0)

NETWORKS = {
    "norm": "net (float[N,16] x) => (float[N,8] y) "
    "{ n = LayerNormalization <axis = -1> (x, gamma, beta) y = MatMul(n, W) }",
    "norm without bias": "net (float[N,16] x) => (float[N,8] y) "
    "{ n = LayerNormalization <axis = -1> (x, gamma) y = MatMul(n, W) }",
    "two readers": "net (float[N,16] x) => (float[N,8] y, float[N,8] z) "
    "{ n = LayerNormalization <axis = -1> (x, gamma, beta) y = MatMul(n, W) z = Gemm(n, V, c) }",
    "product and sum": "net (float[N,16] x) => (float[N,8] y) "
    "{ t = Tanh(x) p = Mul(t, gamma) n = Add(p, beta) y = Gemm(n, W) }",
    "residual": "net (float[N,16] x) => (float[N,8] y, float[N,16] n) "
    "{ n = LayerNormalization <axis = -1> (x, gamma, beta) y = MatMul(n, W) }",
    "input": "net (float[N,16] x) => (float[N,8] y) { y = Gemm(x, W, c) }",
    "transposed": "net (float[N,16] x) => (float[N,8] y) { t = Sigmoid(x) y = Gemm <transB = 1> (t, U, c) }",
}
ARRAYS = {
    "W": W,
    "V": W[:, ::-1].copy(),
    "U": W.T.copy(),
    "c": RNG.normal(size=8).astype(np.float32),
    "gamma": SPREAD,
    "beta": RNG.normal(size=16).astype(np.float32) * 5,
}
ABSORBED = {"norm", "norm without bias", "two readers", "product and sum"}


def network(name):
    text = NETWORKS[name]
    used = {key: array for key, array in ARRAYS.items() if any(f"{key}{end}" in text for end in (",", ")"))}
    return model_of(text, **used)


def observed(model, groups, rows):
    """The inputs of the groups on the rows, by the tensor's name."""
    copy = model.clone()
    values = {str(v.name): v for v in (*copy.graph.inputs, *(o for node in copy.graph for o in node.outputs))}
    names = [str(group.value.name) for group in groups]
    present = {str(value.name) for value in copy.graph.outputs}
    copy.graph.outputs.extend(values[name] for name in names if name not in present and name != "x")
    session = Session(ir.to_proto(copy).SerializeToString())
    computed = [name for name in names if name != "x"]
    tensors = {"x": rows} | (dict(zip(computed, session.run({"x": rows}, computed), strict=True)) if computed else {})
    return {
        name: ChannelInputs(array, array.min(axis=0).astype(float), array.max(axis=0).astype(float))
        for name, array in tensors.items()
        if name in names
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_the_outputs_stay(name):
    model = network(name)
    rows = ROWS / 20 if name == "product and sum" else ROWS
    before = Session(ir.to_proto(model).SerializeToString()).run({"x": rows})
    groups = linear_groups(inventory(model)[0])
    assert len(groups) == 1
    assert groups[0].absorbed == (name in ABSORBED)
    smooth(groups, observed(model, groups, rows), [STATIC])
    after = Session(ir.to_proto(model).SerializeToString()).run({"x": rows})
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-4 * np.abs(old).max())


@pytest.mark.parametrize("name", ["norm", "two readers", "residual", "input"])
def test_outliers_move_into_the_weights(name):
    model = network(name)
    groups = linear_groups(inventory(model)[0])
    assert smooth(groups, observed(model, groups, ROWS), [STATIC]) == 1
    inserted = [node for node in model.graph if node.op_type == "Mul"]
    assert len(inserted) == (0 if name in ABSORBED else 1)
    again = linear_groups(inventory(model)[0])
    inputs = next(iter(observed(model, again, ROWS).values()))
    widths = inputs.maximum - inputs.minimum
    assert widths.max() / np.median(widths) < 20


@pytest.mark.parametrize("precision", [STATIC, WEIGHT_ONLY])
def test_the_error_falls_where_channels_differ_and_stays_where_they_are_alike(precision):
    def error(rows):
        inputs = ChannelInputs(rows, rows.min(axis=0).astype(float), rows.max(axis=0).astype(float))
        return choose_smoothing(inputs, [W], precision, shifted=True)[1]

    assert error(ROWS) < 0.5
    assert 0.5 < error(RNG.normal(size=(256, 16)).astype(np.float32)) <= 1


def test_a_channel_without_signal_keeps_its_factor():
    rows = ROWS.copy()
    rows[:, 2] = 0
    inputs = ChannelInputs(rows, rows.min(axis=0).astype(float), rows.max(axis=0).astype(float))
    smoothing, _ = choose_smoothing(inputs, [W], STATIC, shifted=False)
    assert smoothing.factor[2] == 1
    assert np.isfinite(smoothing.factor).all()


def test_zero_inputs_are_left_alone():
    zeros = np.zeros((4, 16), np.float32)
    inputs = ChannelInputs(zeros, zeros.min(axis=0).astype(float), zeros.max(axis=0).astype(float))
    smoothing, error = choose_smoothing(inputs, [W], STATIC, shifted=True)
    assert error == 1
    assert (smoothing.factor == 1).all()


@pytest.mark.parametrize(
    "text",
    [
        "net (float[N,16] x) => (float[N,8] y, float[N,8] z) { y = MatMul(x, W) z = MatMul(x, W) }",
        "net (float[16,N] x) => (float[N,8] y) { y = Gemm <transA = 1> (x, W, c) }",
        "net (float[8,N] x) => (float[16,N] y) { y = MatMul(W, x) }",
        "net (float[N,16,5] x) => (float[N,8,5] y) { y = Conv(x, K) }",
    ],
)
def test_shared_weights_and_other_axes_are_left_out(text):
    arrays = {"W": W, "c": ARRAYS["c"], "K": W.T[:, :, None].copy()}
    used = {key: array for key, array in arrays.items() if f"{key}," in text or f"{key})" in text}
    assert linear_groups(inventory(model_of(text, **used))[0]) == []


def test_layers_with_and_without_an_integer_kernel_are_smoothed_each_by_its_precision():
    recurrent, states = RNG.normal(size=(1, 12, 16)).astype(np.float32), RNG.normal(size=(1, 12, 3)).astype(np.float32)
    text = (
        "net (float[1,N,16] x) => (float[1,N,8] y, float[1,1,N,3] h) "
        "{ y = MatMul(x, W) h = LSTM <hidden_size = 3> (x, P, R) }"
    )
    model = model_of(text, W=W, P=recurrent, R=states)
    before = Session(ir.to_proto(model).SerializeToString()).run({"x": ROWS[None]})
    groups = linear_groups(inventory(model)[0])
    assert [str(group.value.name) for group in groups] == ["x", "x"]
    inputs = {"x": ChannelInputs(ROWS, ROWS.min(axis=0).astype(float), ROWS.max(axis=0).astype(float))}
    alone = [choose_smoothing(inputs["x"], group.weights, each, shifted=False)[0].factor
             for group, each in zip(groups, (STATIC, WEIGHT_ONLY), strict=True)]  # fmt: skip
    assert smooth(groups, inputs, [STATIC, WEIGHT_ONLY]) == 2
    for layer, factor, weight in zip(inventory(model)[0], alone, (W.T, recurrent[0]), strict=False):
        scaled = layer.weight.T if layer.op == "MatMul" else layer.weight[0]
        np.testing.assert_allclose(scaled, weight * factor, rtol=1e-5)
    after = Session(ir.to_proto(model).SerializeToString()).run({"x": ROWS[None]})
    for old, new in zip(before, after, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-4 * np.abs(old).max())
