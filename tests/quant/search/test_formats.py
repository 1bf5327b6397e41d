"""The formats that each weight may have."""

import pytest

from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.uniform import Uniform
from quant.search.formats import FORMATS, format_sections, weight_formats

ALLOCATED = {"preset": "int8", "budget": {"max_size_ratio": 0.3}}


def formats_of(search, op):
    """Return the bits and the grids that the layers of an operator may have."""
    layers = ((layer, section) for layer, section in search.work if layer.op == op)
    return {tuple((each.bits, each.grid) for each in format_sections(*layer, search.spec)) for layer in layers}


def test_with_opset_25_every_format_is_offered_the_widest_first(context):
    (offered,) = formats_of(context({**ALLOCATED, "export": {"opset": 25}}), "Conv")
    assert offered == tuple((format.bits, format.grid) for format in FORMATS)
    widths = [bits for bits, _ in offered]
    assert widths == sorted(widths, reverse=True)


def test_only_widths_that_the_file_stores_are_offered(context):
    (offered,) = formats_of(context({**ALLOCATED, "export": {"opset": 21}}), "Conv")
    assert {bits for bits, _ in offered} == {8, 5, 4}


@pytest.mark.parametrize("grid", ["uniform", "kmeans", "ternary_optimal"])
def test_a_grid_that_the_spec_names_is_the_only_one_of_few_bits(context, grid):
    spec = {**ALLOCATED, "weights": {"grid": grid, "bits": 2}, "export": {"opset": 25}}
    (offered,) = formats_of(context(spec), "Conv")
    assert {each.name for bits, each in offered if bits == 2} == {grid}
    assert {each for bits, each in offered if bits > 4} == {Uniform()}


@pytest.mark.parametrize(
    "spec",
    [
        {"export": {"opset": 25, "profile": "openvino"}},
        {"export": {"opset": 25, "weight_storage": "direct"}},
        {"export": {"opset": 25, "profile": "ort-cpu-avx2"}},
        {"export": {"opset": 25}, "weights": {"scale": "power_of_two"}},
    ],
)
def test_a_target_of_equally_spaced_levels_gets_no_codebooks(context, spec):
    (offered,) = formats_of(context({**ALLOCATED, **spec}), "Conv")
    assert all(grid.direct for _, grid in offered)


def test_a_rule_that_sets_the_bits_leaves_one_format(context):
    rules = [{"match": {"op": "Gemm"}, "weights": {"bits": 4, "grid": "kmeans"}}]
    search = context({**ALLOCATED, "layers": rules})
    assert formats_of(search, "Gemm") == {((4, KMeans()),)}
    plain = context({**ALLOCATED, "layers": [{"match": {"op": "Gemm"}, "weights": {"bits": 4}}]})
    assert formats_of(plain, "Gemm") == {((4, Uniform()),)}
    counts = {weight.layers[0].op: len(weight.sections) for weight in weight_formats(search.work, search.spec)}
    assert counts["Gemm"] == 1 < counts["Conv"]
