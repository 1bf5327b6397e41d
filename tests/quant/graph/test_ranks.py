"""Ranks of tensors, as far as shape inference knows them."""

import numpy as np

from quant.graph.ranks import ranks_of
from tests.quant.onnx_text import model_of


def test_ranks_are_inferred_and_unknown_ones_are_left_out():
    text = "net (float[N, 4] x, float v, int64[M] s) => (float[N, 3] y, float z) { h = MatMul (x, w) y = Relu (h) "
    ranks = ranks_of(model_of(text + "r = Reshape (v, s) z = Neg (r) }", w=np.ones((4, 3))))
    assert (ranks["x"], ranks["h"], ranks["y"]) == (2, 2, 2)
    assert "r" not in ranks
