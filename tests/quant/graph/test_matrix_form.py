"""The geometry of convolutions, and the draw of rows; test_operators.py compares the products with ONNX Runtime."""

import numpy as np
import onnx_ir as ir
import pytest

from quant.graph.matrix_form import Convolution, Product, Recurrent, TransposedConvolution, Window

RNG = np.random.default_rng(0)


def node(**attributes):
    return ir.node("Conv", [], attributes)


def test_a_window_reads_strided_and_dilated_positions_beside_its_padding():
    window = Window(kernel=3, stride=2, dilation=2, before=1, after=2)
    assert window.outputs(8) == 4
    np.testing.assert_array_equal(window.inputs_of(np.array([0, 3])), [[-1, 1, 3], [5, 7, 9]])


@pytest.mark.parametrize(("attributes", "size", "padding"), [
    ({}, 8, (0, 0)),
    ({"pads": [1, 2]}, 8, (1, 2)),
    ({"auto_pad": "VALID"}, 8, (0, 0)),
    ({"auto_pad": "SAME_UPPER", "strides": [2]}, 8, (0, 1)),
    ({"auto_pad": "SAME_LOWER", "strides": [2]}, 8, (1, 0)),
    ({"auto_pad": "SAME_UPPER", "strides": [2]}, 7, (1, 1)),
    ({"auto_pad": "SAME_UPPER", "strides": [5]}, 6, (1, 1)),
    ({"auto_pad": "SAME_UPPER", "strides": [4]}, 8, (0, 0)),
])  # fmt: skip
def test_padding_is_resolved_as_onnx_defines_it(attributes, size, padding):
    (window,) = Convolution().windows(node(**attributes), [3], [size])
    assert (window.before, window.after) == padding


def test_a_transposed_window_is_padded_by_what_the_kernel_overlaps():
    (window,) = TransposedConvolution().windows(node(strides=[2], pads=[1, 0], dilations=[2]), [3], [8])
    assert (window.stride, window.before, window.after) == (1, 3, 4)


@pytest.mark.parametrize(("form", "kernel", "value"), [
    (Product(), (), RNG.normal(size=(40, 5, 4))),
    (Convolution(), (3, 3), RNG.normal(size=(4, 2, 8, 8))),
    (TransposedConvolution(), (3, 3), RNG.normal(size=(4, 2, 8, 8))),
])  # fmt: skip
def test_drawn_rows_are_some_of_all_rows_and_the_same_for_the_same_seed(form, kernel, value):
    value = value.astype(np.float32)
    every, drawn, again, other = (
        form.rows(node(), kernel, value, limit, seed) for limit, seed in ((10**6, 0), (20, 0), (20, 0), (20, 1))
    )
    assert drawn.shape == (1, 20, every.shape[2])
    assert {row.tobytes() for row in drawn[0]} <= {row.tobytes() for row in every[0]}
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, other)


def test_a_batch_of_matrices_has_no_matrix():
    assert Product().matrix(node(), np.zeros((2, 3, 4)), axis=2) is None


@pytest.mark.parametrize("layout", [0, 1])
def test_the_directions_of_a_recurrent_layer_read_the_same_inputs_and_states_of_their_own(layout):
    recurrent = ir.node("LSTM", [], {"direction": "bidirectional", "layout": layout})
    inputs = RNG.normal(size=(5, 3, 4)).astype(np.float32)
    rows = Recurrent().rows(recurrent, (), inputs, 100, 0)
    assert rows.shape == (2, 15, 4)
    np.testing.assert_array_equal(rows[0], rows[1])
    states = RNG.normal(size=(5, 2, 3, 6) if layout == 0 else (3, 5, 2, 6)).astype(np.float32)
    rows = Recurrent().rows(recurrent, (), states, 100, 0)
    assert rows.shape == (2, 15, 6)
    second = states[:, 1] if layout == 0 else states[:, :, 1]
    np.testing.assert_array_equal(rows[1], second.reshape(-1, 6))
    assert Recurrent().rows(recurrent, (), states, 7, 0).shape == (2, 7, 6)
