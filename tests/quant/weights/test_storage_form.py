"""The choice of a storage form, and specs that no form can store."""

import pytest

from quant.errors import SpecError
from quant.graph.inventory import inventory
from quant.spec import resolve
from quant.weights.storage_form import StorageForm, storage_form
from tests.quant.one_layer import KINDS, model_of

LARGE = ("MatMul", (512, 512), (4, 512), {})
LARGE_GEMM = ("Gemm", (512, 512), (512,), {"transB": 1})
NBITS, FOLDED, INTEGER, DIRECT, DYNAMIC = (
    StorageForm[name] for name in ("MATMUL_NBITS", "FOLDED", "INTEGER", "DIRECT", "DYNAMIC")
)
IN_DYNAMIC = {"activations": {"mode": "dynamic"}}


@pytest.mark.parametrize(
    ("layer", "spec", "form"),
    [
        (KINDS["conv"], {"preset": "int8"}, INTEGER),
        (KINDS["gemm"], {"preset": "int8"}, INTEGER),
        (KINDS["conv"], {"preset": "codebook4"}, INTEGER),
        (KINDS["conv"], {"preset": "int8", "export": {"profile": "generic"}}, DIRECT),
        (KINDS["conv"], {"preset": "int4-weights"}, FOLDED),
        (LARGE, {"preset": "int4-weights"}, NBITS),
        (LARGE_GEMM, {"preset": "int8-weights"}, NBITS),
        (LARGE, {"preset": "codebook4", "activations": None}, FOLDED),
        (LARGE, {"preset": "int4-weights", "export": {"weight_storage": "direct"}}, DIRECT),
        (KINDS["transposed"], {"preset": "int8"}, FOLDED),
        (KINDS["gemm_transposed"], IN_DYNAMIC, DYNAMIC),
        (KINDS["matmul"], {"preset": "codebook4", **IN_DYNAMIC}, DYNAMIC),
        (KINDS["conv"], IN_DYNAMIC, INTEGER),
        (KINDS["transposed"], IN_DYNAMIC, FOLDED),
        (KINDS["matmul"], {"activations": {"mode": "auto"}}, INTEGER),
    ],
)
def test_the_form_follows_from_the_layer_and_the_spec(layer, spec, form):
    (layer,), _ = inventory(model_of(*layer))
    resolved = resolve(spec)
    assert storage_form(layer, resolved.weights, resolved) is form


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"bits": 6, "grid": "mid_rise"}, "mid_rise has no 6-bit grid; accepted: 2, 3, 4 bits"),
        ({"bits": 4, "grid": {"name": "kmeans", "tables": "layer"}, "scale": "power_of_two"}, "accepted: tables row"),
        ({"bits": 8, "grid": "kmeans"}, "kmeans has no 8-bit grid"),
        ({"bits": 4, "grid": "kmeans", "granularity": "block"}, "accepted with granularity block: uniform"),
        ({"granularity": "block"}, "granularity block is for weight-only models"),
    ],
)
def test_what_cannot_be_stored_is_refused(weights, message):
    with pytest.raises(SpecError, match=message):
        resolve({"preset": "int8", "weights": weights})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 16}, "rounds inputs to 8 bits; accepted: bits 8"),
        ({"symmetric": True}, "unsigned codes"),
        ({"sign": "signed"}, "unsigned codes"),
        ({"scale": "power_of_two"}, "accepted: scale any"),
    ],
)
def test_inputs_that_the_model_cannot_round_by_their_range_are_refused(options, message):
    with pytest.raises(SpecError, match=message) as caught:
        resolve({"activations": {"mode": "dynamic", **options}})
    assert caught.value.errors[0].pointer == "/activations"
    assert not resolve({"activations": {"mode": "auto", **options}}).may_be_dynamic


def test_a_machine_without_floats_between_layers_reads_static_ranges():
    with pytest.raises(SpecError, match="profile qnn reads static ranges"):
        resolve({"activations": {"mode": "dynamic"}, "export": {"profile": "qnn"}})


def test_a_layer_rule_that_does_not_fit_is_refused():
    rule = {"match": "*", "weights": {"bits": 8}}
    with pytest.raises(SpecError, match="kmeans has no 8-bit grid"):
        resolve({"weights": {"grid": "kmeans", "bits": 4}, "layers": [rule]})
