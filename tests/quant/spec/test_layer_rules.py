"""Rules for single layers."""

import pytest

from quant.errors import SpecError
from quant.spec import resolve


def test_the_first_layer_rule_that_matches_applies():
    spec = resolve({"layers": [
        {"match": "conv1", "skip": True},
        {"match": "*.fc", "weights": {"bits": 8}},
        {"match": {"op": "Gemm"}, "weights": {"bits": 4, "granularity": "tensor"}},
        {"match": "*", "weights": {"clipping": "mae"}},
    ]})  # fmt: skip
    assert spec.weights_for("conv1", "Conv") is None
    assert spec.weights_for("head.fc", "Gemm").bits == 8
    assert spec.weights_for("other", "Gemm").granularity == "tensor"
    assert spec.weights_for("other", "Conv").clipping.name == "mae"


def test_only_a_rule_with_bits_fixes_the_bits():
    spec = resolve({"layers": [{"match": "a", "weights": {"bits": 4}}, {"match": "b", "weights": {"clipping": "mae"}}]})
    assert [spec.bits_are_given(name, "Conv") for name in "abc"] == [True, False, False]


def test_a_rule_that_does_not_go_with_the_weights_is_refused():
    with pytest.raises(SpecError, match="has no 8-bit grid"):
        resolve({"layers": [{"match": "*", "weights": {"grid": "kmeans"}}]})
