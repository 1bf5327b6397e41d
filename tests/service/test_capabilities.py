"""The description of the spec, the limits and the versions."""

from importlib import metadata

from quant.spec import PRESETS


def test_capabilities_list_the_values_of_a_spec(http):
    document = http.get("/v1/capabilities").json()
    assert {rule["name"] for rule in document["clipping"]} >= {"minmax", "mae", "mse"}
    assert {family["name"] for family in document["distributions"]} >= {"gaussian", "laplace"}
    assert set(document["presets"]) == set(PRESETS)
    assert {"ort-cpu", "tensorrt"} <= {profile["name"] for profile in document["profiles"]}
    assert "properties" in document["spec_schema"]
    assert min(document["limits"].values()) > 0
    assert document["versions"]["onnxruntime"] == metadata.version("onnxruntime")
