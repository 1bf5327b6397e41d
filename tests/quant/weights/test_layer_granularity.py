"""The granularity of a layer's weight: as many scales as the storage form can hold."""

import pytest

from quant.graph.inventory import inventory
from quant.spec import resolve
from quant.weights.granularity import PerBlock, PerChannel, PerMatrixChannel, PerTensor
from quant.weights.layer_granularity import granularity_of
from quant.weights.storage_form import StorageForm
from tests.quant.one_layer import KINDS, model_of

TRANSPOSED = {"group": 4, "strides": [2, 2]}
FOLDED, DIRECT = StorageForm.FOLDED, StorageForm.DIRECT


def granularity(layer, form=FOLDED, **weights):
    (layer,), _ = inventory(model_of(*layer))
    return granularity_of(layer, resolve({"preset": "int4-weights", "weights": weights}).weights, form)


def test_the_section_names_the_granularity():
    for name, expected in {"tensor": PerTensor(), "channel": PerChannel(1), "block": PerBlock(0, 32)}.items():
        assert granularity(KINDS["matmul"], granularity=name, block_size=32) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (("MatMul", (3, 7, 5), (3, 4, 7), {}), PerMatrixChannel((0, 2))),
        (("MatMul", (2, 3, 7, 5), (2, 3, 4, 7), {}), PerMatrixChannel((0, 1, 3))),
        (("MatMul", (1, 7, 5), (1, 4, 7), {}), PerChannel(2)),
        (("ConvTranspose", (8, 2, 3, 3), (8, 5, 6), TRANSPOSED), PerMatrixChannel((0, 2), 4)),
        (("ConvTranspose", (8, 2, 3), (8, 5), {"group": 2}), PerMatrixChannel((0, 2), 2)),
        (("ConvTranspose", (4, 1, 3, 3), (4, 5, 6), TRANSPOSED), PerChannel(0)),
        (("ConvTranspose", (8, 2, 3, 3), (8, 5, 6), {}), PerChannel(1)),
    ],
)
def test_each_channel_of_each_matrix_and_group_has_a_scale(layer, expected):
    assert granularity(layer) == expected


def test_one_dequantize_linear_holds_the_scales_of_matrices_but_not_of_groups():
    assert granularity(("MatMul", (3, 7, 5), (3, 4, 7), {}), DIRECT) == PerMatrixChannel((0, 2))
    assert granularity(("ConvTranspose", (8, 2, 3, 3), (8, 5, 6), TRANSPOSED), DIRECT) == PerChannel(1)


def test_short_rows_share_a_codebook_in_float():
    short, long = (("MatMul", (3, inputs, 5), (3, 4, inputs), {}) for inputs in (60, 64))
    assert granularity(short, grid="kmeans") == PerChannel(2)
    assert granularity(long, grid="kmeans") == PerMatrixChannel((0, 2))
    assert granularity(short, StorageForm.INTEGER, grid="kmeans") == PerMatrixChannel((0, 2))
