"""A spec is filled in from its preset, and every fault has a JSON pointer."""

import pytest

from quant.errors import SpecError
from quant.spec import PRESET_DESCRIPTIONS, PRESETS, Spec, resolve


@pytest.mark.parametrize(("preset", "bits", "activations"), [
    ("int8", 8, True), ("int8-weights", 8, False), ("int4", 4, True), ("int4-weights", 4, False),
])  # fmt: skip
def test_a_preset_fills_in_missing_options(preset, bits, activations):
    spec = resolve({"preset": preset})
    assert spec.weights.bits == bits
    assert (spec.activations is not None) == activations


def test_every_preset_resolves_and_round_trips():
    for preset in PRESETS:
        spec = resolve({"preset": preset})
        assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_options_take_precedence_over_the_preset():
    spec = resolve({"preset": "int4", "weights": {"bits": 8, "clipping": "mae"}, "activations": None})
    assert (spec.weights.bits, spec.weights.clipping.name, spec.activations) == (8, "mae", None)


def test_a_generic_export_makes_the_activations_of_a_preset_symmetric():
    assert resolve({"export": {"profile": "generic"}}).activations.symmetric
    raw = {"export": {"profile": "generic"}, "activations": {"symmetric": False}}
    assert not resolve(raw).activations.symmetric
    assert resolve({"preset": "int8-weights", "export": {"profile": "generic"}}).activations is None


def test_a_name_alone_is_short_for_the_object():
    short, long = ({"weights": {"clipping": c, "grid": "uniform"}} for c in ("mse", {"name": "mse"}))
    assert resolve(short) == resolve(long)


@pytest.mark.parametrize("raw", [{"weights": {"a/b~c": 1}}, {"weights": {"grid": {"name": "uniform", "levels": 3}}}])
def test_pointers_are_escaped_and_have_no_tags(raw):
    with pytest.raises(SpecError) as caught:
        resolve(raw)
    (fault,) = caught.value.errors
    assert fault.pointer in ("/weights/a~1b~0c", "/weights/grid/levels")


def test_every_fault_is_listed_at_once():
    with pytest.raises(SpecError) as caught:
        resolve({"weights": {"bits": 9, "granularity": "pixel"}, "seed": -1})
    assert {fault.pointer for fault in caught.value.errors} == {"/weights/bits", "/weights/granularity", "/seed"}


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_no_number_of_a_spec_is_infinite(number):
    """A text may stand for a number, and JSON, in which reports are written, has no infinite ones."""
    places = {
        "/gates/min_layer_sqnr_db": {"gates": {"min_layer_sqnr_db": number}},
        "/limits/seconds": {"limits": {"seconds": number}},
        "/images/mean": {"images": {"mean": number}},
    }
    for pointer, raw in places.items():
        with pytest.raises(SpecError) as caught:
            resolve(raw)
        assert all(fault.pointer.startswith(pointer) for fault in caught.value.errors)


def test_every_preset_is_described():
    assert PRESET_DESCRIPTIONS.keys() == PRESETS.keys()
    assert all(text.endswith(".") for text in PRESET_DESCRIPTIONS.values())


@pytest.mark.parametrize("search", [{"budget": {"max_bytes": 9}}, {"objective": "smallest_within_gates"}])
def test_a_search_chooses_grids_unless_the_spec_or_its_preset_names_one(search):
    raw = {**search, "gates": {"min_output_sqnr_db": 9}}
    assert resolve(raw).weights.grid.name == "auto"
    assert resolve({**raw, "weights": {"grid": "uniform"}}).weights.grid.name == "uniform"
    assert resolve({**raw, "preset": "codebook4"}).weights.grid.name == "kmeans"
    assert resolve({}).weights.grid.name == "uniform"


def test_a_budget_and_gates_of_the_caller_replace_those_of_a_preset():
    small = resolve({"preset": "small", "budget": {"max_size_ratio": 0.1}}).budget
    assert (small.max_size_ratio, small.mean_bits) == (0.1, None)
    default = resolve({"preset": "auto"}).gates
    assert default.min_output_sqnr_db == 20
    own = resolve({"preset": "auto", "gates": {"max_top1_drop_points": 1}}).gates
    assert (own.min_output_sqnr_db, own.max_top1_drop_points) == (None, 1)
    size = resolve({"preset": "auto", "gates": {"max_size_ratio": 0.2}}).gates
    assert (size.min_output_sqnr_db, size.max_size_ratio) == (20, 0.2)
