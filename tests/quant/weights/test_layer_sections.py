"""Choices that the layer decides: blocks, 8 bits for tables and heads, and float for small tables."""

import numpy as np
import pytest

from quant.graph.inventory import inventory
from quant.graph.load.onnx_file import load
from quant.graph.normalise.normalise import normalise
from quant.spec import resolve
from quant.weights.layer_sections import LayerSections
from quant.weights.layers import choose_layers
from tests.quant.onnx_text import proto_of

RNG = np.random.default_rng(0)
SHAPES = {"words": (1000, 128), "kinds": (1, 128), "square": (128, 128), "narrow": (128, 16), "head": (128, 1000)}
LANGUAGE = """net (int64[N] word, int64[N] kind) => (float[N, 1000] y, float[N, 16] z) {
    a = Gather (words, word) b = Gather (kinds, kind) c = Add (a, b) d = MatMul (c, square) e = Tanh (d)
    z = MatMul (e, narrow) y = MatMul (e, head)
}"""


def model():
    arrays = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    return normalise(load(proto_of(LANGUAGE, **arrays)))


def sections(raw):
    work, skipped = choose_layers(model(), resolve(raw))
    named = {layer.weight_name: (section.bits, section.granularity, section.rounding.name) for layer, section in work}
    return named, [node.reason for node in skipped]


def test_matrices_have_blocks_and_tables_and_heads_8_bits():
    named, reasons = sections({"preset": "int4-weights"})
    assert named == {
        "words": (8, "channel", "nearest"), "square": (4, "block", "auto"), "narrow": (4, "channel", "nearest"),
        "head": (8, "channel", "nearest"),
    }  # fmt: skip
    assert len(reasons) == 1
    assert "next to nothing" in reasons[0]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"weights": {"tables": "float"}}, {"square": (4, "block", "auto"), "narrow": (4, "channel", "nearest")}),
        ({"weights": {"granularity": "tensor", "tables": "same"}}, dict.fromkeys(SHAPES, (4, "tensor", "nearest"))),
        ({"budget": {"max_size_ratio": 0.2}}, dict.fromkeys(SHAPES, (4, "channel", "auto"))),
        (
            {"layers": [{"match": {"op": "Gather"}, "weights": {"bits": 4}}], "weights": {"granularity": "channel"}},
            {name: (8 if name == "head" else 4, "channel", "nearest") for name in SHAPES},
        ),
    ],
    ids=["float tables", "as others", "budget", "rule"],
)
def test_the_spec_decides_where_it_says_more(raw, expected):
    assert sections({"preset": "int4-weights", **raw})[0] == expected


def test_activations_other_grids_and_powers_of_two_have_channels():
    for raw in (
        {"activations": {"bits": 8}},
        {"weights": {"grid": "kmeans"}},
        {"weights": {"scale": "power_of_two"}},
    ):
        assert {granularity for _, granularity, _ in sections({"preset": "int4-weights", **raw})[0].values()} == {
            "channel"
        }


def test_a_weight_that_a_table_and_a_head_share_gets_the_same_codes():
    text = """net (int64[N] word) => (float[N, 600] y) {
        a = Gather (words, word) d = MatMul (a, square) y = Gemm <transB = 1> (d, words)
    }"""
    arrays = {name: RNG.normal(size=(size, 128)).astype(np.float32) for name, size in (("words", 600), ("square", 128))}
    layers, _ = inventory(normalise(load(proto_of(text, **arrays))))
    spec = resolve({"preset": "int4-weights"})
    table, _, head = (LayerSections(layers, spec).section(layer) for layer in layers)
    assert table == head
    assert (table.bits, table.clipping.name) == (8, "minmax")
