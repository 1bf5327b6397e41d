"""Sparse initializers are read as dense ones, in the main graph and in bodies."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from quant.errors import UnreadableModel, UnsafeModel
from quant.graph.load.onnx_file import load
from quant.pipeline import Inputs, quantize_model
from quant.runtime import Session
from tests.quant.onnx_text import proto_of

VALUES = np.random.default_rng(0).normal(size=20).astype(np.float32)
POSITIONS = np.sort(np.random.default_rng(1).choice(48, 20, replace=False))
FORMS = {"linear": POSITIONS, "by axis": np.stack(np.divmod(POSITIONS, 6), axis=1)}


def sparse(name, indices, shape=(8, 6), values=VALUES):
    return helper.make_sparse_tensor(
        numpy_helper.from_array(values, name), numpy_helper.from_array(indices, f"{name}_i"), shape
    )


def model_with(tensor):
    proto = onnx.load_from_string(proto_of("net (float[N,8] x) => (float[N,6] y) {y = MatMul(x, w)}"))
    proto.graph.sparse_initializer.append(tensor)
    return proto.SerializeToString()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("preset", ["int8", "codebook4"])
def test_a_sparse_weight_is_quantized(form, preset, tmp_path):
    (tmp_path / "m.onnx").write_bytes(model_with(sparse("w", FORMS[form])))
    np.savez(tmp_path / "c.npz", x=np.random.default_rng(2).normal(size=(32, 8)).astype(np.float32))
    inputs = Inputs(tmp_path / "m.onnx", "m.onnx", {"preset": preset}, calibration=tmp_path / "c.npz")
    quantize_model(inputs, tmp_path, lambda *_: None)
    with np.load(tmp_path / "c.npz") as feeds:
        before, after = (Session(tmp_path / name).run(feeds)[0] for name in ("m.onnx", "model.onnx"))
    assert np.abs(before - after).max() < 0.05 * np.abs(before).max()


def test_a_body_has_sparse_initializers_too():
    text = """net (float[N,8] x, bool c) => (float[N,6] y) {y = If(c) <
        then_branch = t () => (float[N,6] p) {p = MatMul(x, w)}, else_branch = e () => (float[N,6] q) {q = MatMul(x, v)}
    >}"""
    proto = onnx.load_from_string(proto_of(text, v=np.ones((8, 6))))
    proto.graph.node[0].attribute[0].g.sparse_initializer.append(sparse("w", POSITIONS))
    (body, *_) = (graph for graph in load(proto.SerializeToString()).graph.subgraphs() if graph.initializers)
    np.testing.assert_array_equal(body.initializers["w"].const_value.numpy().reshape(-1)[POSITIONS], VALUES)


def test_the_sparse_value_of_a_constant_is_read():
    proto = onnx.load_from_string(proto_of("net (float[N,8] x) => (float[N,6] y) {y = MatMul(x, w)}"))
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse("", POSITIONS)))
    (constant, _) = load(proto.SerializeToString()).graph
    np.testing.assert_array_equal(constant.attributes["value"].as_tensor().numpy().reshape(-1)[POSITIONS], VALUES)


def test_indices_outside_the_shape_and_huge_shapes_are_refused_by_name():
    with pytest.raises(UnreadableModel, match="sparse tensor 'w' do not fit"):
        load(model_with(sparse("w", POSITIONS + 40)))
    short = sparse("w", POSITIONS)
    short.values.raw_data = short.values.raw_data[:-1]
    with pytest.raises(UnreadableModel, match="sparse tensor 'w' do not fit"):
        load(model_with(short))
    with pytest.raises(UnsafeModel, match="sparse tensor 'w' takes"):
        load(model_with(sparse("w", POSITIONS, (1 << 20, 1 << 20))))
