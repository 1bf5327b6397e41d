"""Alternatives say what a change of one layer costs and gains; running the change confirms it."""

import numpy as np
import pytest
import yaml

from quant.export.storage import stored_bytes
from quant.report.alternatives import alternatives, output_gain_db
from quant.search.error_shares import ErrorShares, LayerShare
from tests.quant.report.one_weight import quantized

RNG = np.random.default_rng(0)


def weights(shape=(48, 320)):
    return (RNG.laplace(size=shape) * RNG.uniform(0.3, 3, size=(shape[0], 1))).astype(np.float32)


def alternatives_of(weight, **options):
    layer, spec = quantized(weight, **options)
    return {entry.change: entry for entry in alternatives(layer, spec, ErrorShares())}, layer


@pytest.mark.parametrize("clipping", ["minmax", "mse", "auto"])
@pytest.mark.parametrize("options", [{"bits": 4}, {"bits": 8}, {"granularity": "tensor"},
                                     {"bits": 4, "grid": "kmeans"}])  # fmt: skip
def test_gains_and_bytes_are_those_of_the_changed_spec(options, clipping):
    weight = weights()
    entries, layer = alternatives_of(weight, clipping=clipping, **options)
    before, bytes_before = layer.quantized.error.sqnr_db, stored_bytes(layer.quantized, layer.form, 21)
    for change, entry in entries.items():
        if change == "float":
            continue
        rules = yaml.safe_load(entry.spec)["layers"]
        changed, _ = quantized(weight, layers=rules, clipping=clipping, **options)
        near = 1.3 if "32 weights" in change else 0.8  # a fit to 32 weights does not give the bound of least error
        assert changed.quantized.error.sqnr_db == pytest.approx(entry.weight_sqnr_db, abs=near), change
        assert changed.quantized.error.sqnr_db - before == pytest.approx(entry.weight_sqnr_gain_db, abs=near)
        assert entry.bytes == stored_bytes(changed.quantized, changed.form, 21)
        assert entry.bytes_more == entry.bytes - bytes_before
        assert entry.basis == "measured"


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"bits": 4}, ["8 bits", "5 bits", "a scale per 32 weights", "float"]),
        ({"bits": 8}, ["5 bits", "a scale per 32 weights", "float"]),
        ({"granularity": "tensor"}, ["8 bits", "5 bits", "a scale per channel", "float"]),
        ({"granularity": "block"}, ["8 bits", "5 bits", "float"]),
    ],
)
def test_the_alternatives_of_a_layer(options, changes):
    entries, _ = alternatives_of(weights(), **options)
    assert list(entries) == changes


def test_float_costs_four_bytes_a_weight_and_loses_nothing():
    entries, layer = alternatives_of(weights())
    entry = entries["float"]
    assert entry.bytes == 4 * layer.layer.size
    assert entry.weight_sqnr_db is None
    assert (entry.basis, yaml.safe_load(entry.spec)) == ("exact", {"layers": [{"match": "layer", "skip": True}]})


def test_names_with_special_characters_match_their_layer_alone():
    name = "block.[0]/conv*?"
    layer, spec = quantized(weights(), name=name)
    for entry in alternatives(layer, spec, ErrorShares()):
        changed = spec.model_validate({**spec.model_dump(), **yaml.safe_load(entry.spec)})
        assert changed.layers[0].matches(name, "Gemm")
        assert not changed.layers[0].matches("block.0/convx1", "Gemm")


def test_a_weight_of_zeros_has_float_as_its_only_alternative():
    layer, spec = quantized(np.zeros((4, 64), np.float32))
    assert [entry.change for entry in alternatives(layer, spec, ErrorShares())] == ["float"]


@pytest.mark.parametrize(
    ("share", "ratio", "activations", "gain"),
    [
        (0.5, 0.0, None, 3.0103),
        (0.5, 0.0, 0.01, 1.2494),
        (0.9, 0.1, None, 7.2125),
        (0.5, 4.0, None, -3.9794),
        (1.0, 0.0, None, None),
    ],
)
def test_the_gain_follows_from_the_share(share, ratio, activations, gain):
    shares = ErrorShares({"a": LayerShare(share, None)}, 8, None, weights=0.01, activations=activations)
    expected = None if gain is None else pytest.approx(gain, abs=1e-3)
    assert output_gain_db(shares, "a", ratio) == expected
    assert output_gain_db(shares, "b", ratio) is None


def test_no_gain_is_expected_where_errors_do_not_add_up_or_outputs_have_no_sqnr():
    half = {"a": LayerShare(0.5, None)}
    assert output_gain_db(ErrorShares(half, 8, None, weights=0.01, all=0.004), "a", 0) is None
    assert output_gain_db(ErrorShares(half, 8, None, weights=0.01, quantities=False), "a", 0) is None
    larger = ErrorShares(half, 8, None, weights=0.01, all=0.02)
    assert output_gain_db(larger, "a", 0) == pytest.approx(1.2494, abs=1e-3)
