"""Profiles are values of one registry, and set options that the caller does not set."""

import pytest

from quant.errors import SpecError
from quant.spec import PROFILES, Spec, capabilities, resolve


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_sets_its_options_where_the_caller_does_not(name):
    profile, spec = PROFILES[name], resolve({"export": {"profile": name}})
    for section, options in profile.options.items():
        assert {key: getattr(getattr(spec, section), key) for key in options} == options
        for key, value in options.items():
            document = {"export": {"profile": name}}
            document[section] = {**document.get(section, {}), key: value}
            assert resolve(document) == spec


@pytest.mark.parametrize("name", PROFILES)
def test_a_resolved_profile_resolves_to_itself(name):
    spec = resolve({"export": {"profile": name}})
    assert resolve(spec.model_dump(mode="json")) == spec
    assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_the_caller_decides_before_the_profile():
    raw = {"export": {"profile": "tensorrt", "bias": "int32"}, "activations": {"symmetric": False}}
    spec = resolve(raw)
    assert (spec.export.bias, spec.activations.symmetric, spec.export.weight_storage) == ("int32", False, "direct")


def test_a_profile_adds_no_activations_to_a_preset_without():
    for name in PROFILES:
        assert resolve({"preset": "int8-weights", "export": {"profile": name}}).activations is None


def test_limits_come_with_a_source_and_every_profile_is_described():
    for profile in PROFILES.values():
        assert profile.description.endswith(".")
        assert profile.source or profile.limits == type(profile.limits)()
    assert [entry["name"] for entry in capabilities()["profiles"]] == list(PROFILES)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"export": {"profile": "abacus"}}, "no profile 'abacus'; accepted: ort-cpu, ort-cpu-avx2"),
        ({"preset": "int4", "export": {"max_opset": 20}}, "max_opset is 20; accepted: weights of 8 bits"),
        ({"activations": {"bits": 16}, "export": {"profile": "rknn"}}, "accepted: activations of 8 bits"),
        ({"layers": [{"match": "*", "weights": {"bits": 4}}], "export": {"max_opset": 19}}, "need opset 21"),
        ({"budget": {"max_size_ratio": 0.2}, "export": {"profile": "rknn"}}, "need opset 21"),
        ({"preset": "fp16", "activations": {"bits": 8}}, "precision fp16 quantizes nothing"),
        ({"preset": "fp16", "budget": {"max_size_ratio": 0.2}}, "no bits to choose"),
        ({"weights": {"scale": "power_of_two", "pair_sums": "int16"}}, "needs scales of any size"),
        ({"keep_float": "slower", "export": {"profile": "tensorrt"}}, "accepted: profile ort-cpu"),
    ],
)
def test_options_that_exclude_each_other_are_refused(raw, message):
    with pytest.raises(SpecError, match=message):
        resolve(raw)
