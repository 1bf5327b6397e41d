"""A spec is filled in from its preset, and every fault is pointed at."""

import pytest

from quant.errors import DataRequired, SpecError
from quant.spec import PRESETS, Spec, capabilities, require_data, resolve


@pytest.mark.parametrize(("preset", "bits", "activations"), [
    ("int8", 8, True), ("int8-weights", 8, False), ("int4", 4, True), ("int4-weights", 4, False),
])  # fmt: skip
def test_a_preset_fills_what_is_not_said(preset, bits, activations):
    spec = resolve({"preset": preset})
    assert spec.weights.bits == bits
    assert (spec.activations is not None) == activations


def test_every_preset_resolves_and_round_trips():
    for preset in PRESETS:
        spec = resolve({"preset": preset})
        assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_what_is_said_stands_over_the_preset():
    spec = resolve({"preset": "int4", "weights": {"bits": 8, "clipping": "mae"}, "activations": None})
    assert (spec.weights.bits, spec.weights.clipping.name, spec.activations) == (8, "mae", None)


def test_a_name_alone_is_short_for_the_object():
    short, long = ({"weights": {"clipping": c, "grid": "uniform"}} for c in ("mse", {"name": "mse"}))
    assert resolve(short) == resolve(long)


def test_the_first_layer_rule_that_matches_wins():
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


@pytest.mark.parametrize("raw", [{"weights": {"a/b~c": 1}}, {"weights": {"grid": {"name": "uniform", "levels": 3}}}])
def test_pointers_are_escaped_and_have_no_tags(raw):
    with pytest.raises(SpecError) as caught:
        resolve(raw)
    (fault,) = caught.value.errors
    assert fault.pointer in ("/weights/a~1b~0c", "/weights/grid/levels")


def test_every_fault_is_listed_at_once():
    with pytest.raises(SpecError) as caught:
        resolve({"weights": {"bits": 5, "granularity": "pixel"}, "seed": -1})
    assert {fault.pointer for fault in caught.value.errors} == {"/weights/bits", "/weights/granularity", "/seed"}


def test_data_that_the_spec_needs_is_asked_for():
    with pytest.raises(DataRequired, match="calibration"):
        require_data(resolve({}), calibration=False, evaluation=True)
    with pytest.raises(DataRequired, match="evaluation"):
        require_data(resolve({"gates": {"min_top1_agreement": 1}}), calibration=True, evaluation=False)
    require_data(resolve({"preset": "int4-weights"}), calibration=False, evaluation=False)


def test_capabilities_follow_the_registries():
    told = capabilities()
    assert {"minmax", "mae", "mse"} <= {rule["name"] for rule in told["clipping"]}
    assert all(entry["description"] for entry in told["clipping"] + told["distributions"] + told["grids"])
