"""Exported models of an earlier opset or IR version."""

import numpy as np
import onnx
import pytest

from quant.errors import UnsupportedOpset
from quant.export.ceilings import within_ceilings
from quant.runtime import Session
from quant.spec import Export
from tests.quant.export.exported import exported

TEXT = "net (float[N, 16] x) => (float[N, 8] y) { h = Gemm (x, w, a) r = Relu (h) y = MatMul (r, v) }"
RNG = np.random.default_rng(0)
ARRAYS = {"w": RNG.normal(size=(16, 16)), "a": RNG.normal(size=16), "v": RNG.normal(size=(16, 8))}
SAMPLES = RNG.normal(size=(32, 16)).astype(np.float32)


def test_the_model_is_brought_to_the_opset_with_its_metadata():
    data = exported(TEXT, **ARRAYS)
    lowered = within_ceilings(data, Export(max_opset=19))
    model = onnx.load_model_from_string(lowered)
    assert (model.opset_import[0].version, model.ir_version) == (19, 9)
    assert model.metadata_props == onnx.load_model_from_string(data).metadata_props
    before, after = (Session(file).run({"x": SAMPLES})[0] for file in (data, lowered))
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_the_ir_version_is_lowered_alone():
    model = onnx.load_model_from_string(within_ceilings(exported(TEXT, **ARRAYS), Export(max_ir_version=8)))
    assert (model.ir_version, model.opset_import[0].version) == (8, 21)


@pytest.mark.parametrize(("export", "message"), [
    ({"max_opset": 20}, "cannot be brought to max_opset 20"), ({"max_ir_version": 9}, "needs IR version 10"),
])  # fmt: skip
def test_codes_of_four_bits_are_refused_by_name(export, message):
    data = exported(TEXT, {"preset": "int4-weights", "weights": {"granularity": "channel"}}, **ARRAYS)
    with pytest.raises(UnsupportedOpset, match=message):
        within_ceilings(data, Export(**export))


def test_a_model_below_its_ceilings_keeps_its_bytes():
    data = exported(TEXT, **ARRAYS)
    assert within_ceilings(data, Export(max_opset=21, max_ir_version=10)) == data
    assert within_ceilings(data, Export()) is data
