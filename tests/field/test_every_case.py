"""Every input that failed in the field, at every preset: it works, or is refused by name."""

import numpy as np
import pytest

from quant.errors import QuantdError

PRESETS = ("int8", "int8-weights", "int4", "int4-weights", "codebook4", "ternary")
CASES = (
    "all-zeros", "alpha-beta-transB", "clip-bounds-1", "conv-bn", "conv-mul-255", "dead-bn-1e-6", "experts-x2",
    "fixed-8-of-16", "fixed-8-of-20", "grouped-ranges", "input-named-mean", "instance-3d", "int-only", "minus-inf",
    "nan-row", "nonzero", "packed-split", "peaks", "reshape-1-inside", "shared-identity", "taken", "uint8-image",
    "vector-bias-1N", "weight-in-main-and-branch", "zipmap",
)  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", CASES)
def test_the_result_has_the_signature_of_the_uploaded_model_and_runs(name, preset, quantize_case, field):
    case = quantize_case(name, preset)
    uploaded, quantized = case.signatures()
    assert quantized == uploaded
    with np.load(field / f"{name}.evaluation.npz") as arrays:
        batch = 8 if name.startswith("fixed-8") else 1
        feeds = {key: arrays[key][:batch] for key in arrays if key != "labels"}
    if name in ("vector-bias-1N", "weight-in-main-and-branch"):
        feeds = {key: value[0] for key, value in feeds.items()}
    before, after = case.outputs(feeds)
    assert [np.asarray(value).dtype for value in after] == [np.asarray(value).dtype for value in before]
    if name != "nonzero":
        assert [np.asarray(value).shape for value in after] == [np.asarray(value).shape for value in before]


@pytest.mark.parametrize("preset", PRESETS)
def test_labels_outside_the_classes_are_refused_by_name(preset, quantize_case):
    with pytest.raises(QuantdError) as refused:
        quantize_case("labels-out-of-range", preset)
    assert refused.value.code == "dataset.input_mismatch"
    assert "10 classes" in refused.value.detail


def test_every_case_of_the_field_is_listed(field):
    names = {path.stem for path in field.glob("*.onnx")}
    assert names == {*CASES, "labels-out-of-range"}
