"""The reference of the spec has every key with its values, default and meaning."""

from service.pages.spec_reference import spec_keys


def test_every_key_has_values_and_a_description():
    keys = {key.path: key for key in spec_keys()}
    assert all(key.accepted and key.description for key in keys.values())
    assert keys["weights.bits"].accepted == "8, 7, 6, 5, 4, 3, 2"
    assert keys["weights.bits"].default == "8"
    assert keys["weights.grid"].default == "uniform"
    assert "kmeans" in keys["weights.grid"].accepted
    assert keys["budget.max_size_ratio"].accepted == "a number above 0 or null"
    assert keys["layers[].skip"].default == "false"
    assert not {"preset", "gates"} & keys.keys()
